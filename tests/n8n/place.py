"""One whole place: n8n with all workflows pushed, what its notifications reach, and a gateway with a worker."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
from n8n.node import put_into
from n8n.receivers import Chat, Mailbox
from n8n.server import OWNER, PASSWORD, N8n
from stack import CONFIG, Stack, until

from gateway.access import digest
from gateway.cli.embedded import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.cli.embedded import EmbeddedRedis

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "n8n-workflows"
KEY = "key-of-the-sink-0123456789abcdef"  # ASCII, as n8n needs it
SECRET = "whsec_" + base64.b64encode(KEY.encode()).decode()
TOKEN, PROVIDER, API = "token-of-the-sink", "token-of-the-providers", "hm_token_of_n8n"
# Of the sinks that deliver to Hookmill Trigger, and of the source that Hookmill sends to: no ASCII.
NODE_KEY, OLD_NODE_KEY, NODE_SOURCE_KEY = (bytes(range(first, first + 32)) for first in (224, 128, 192))
NODE_SECRET, OLD_NODE_SECRET, NODE_SOURCE_SECRET = (
    "whsec_" + base64.b64encode(key).decode() for key in (NODE_KEY, OLD_NODE_KEY, NODE_SOURCE_KEY)
)
HEADERS = {"X-Hookmill-Token": TOKEN, "content-type": "application/json"}
TRACE = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"

HOOKMILL = (
    CONFIG.replace('sinks = ["receiver"]', 'sinks = ["n8n"]')
    + """
[sources.github]
scheme = "github"
secrets = ["env:BLOG_SECRET"]
pipeline = "{pipeline}"
sinks = ["n8n"]

[sources.n8n]
scheme = "standard"
secrets = ["env:N8N_SECRET"]
pipeline = "{pipeline}"
limit = "3/2s"
sinks = ["n8n"]
dedupe = {{ ttl = "30d" }}

[sources.hasty]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "{pipeline}"
sinks = ["hasty"]

[sinks.hasty]
kind = "webhook"
url = "@@N8N@@/webhook/hookmill"
secret = "env:N8N_SECRET"
header = {{ name = "X-Hookmill-Token", value = "env:N8N_TOKEN" }}
allow_private = true
timeout = "5s"
retry = ["1s", "2s", "4s", "8s", "8s", "8s", "15s", "15s", "15s"]

[sources.node]
scheme = "standard"
secrets = ["env:NODE_SOURCE_SECRET"]
pipeline = "{pipeline}"
limit = "3/2s"
sinks = ["trigger"]

[sources.chained]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "{pipeline}"
sinks = ["chain"]

[sinks.trigger]
kind = "webhook"
url = "@@N8N@@/webhook/hookmill-trigger"
secret = "env:NODE_SECRET"
allow_private = true
retry = ["1s", "2s", "4s", "8s", "15s", "30s"]

[sinks.chain]
kind = "webhook"
url = "@@N8N@@/webhook/hookmill-chain"
secret = "env:NODE_SECRET"
allow_private = true
retry = ["1s", "2s", "4s", "8s", "15s", "30s"]

[sinks.n8n]
kind = "webhook"
url = "@@N8N@@/webhook/hookmill"
secret = "env:N8N_SECRET"
header = {{ name = "X-Hookmill-Token", value = "env:N8N_TOKEN" }}
allow_private = true
timeout = "15s"
concurrency = 10
retry = ["1s", "2s", "4s", "8s", "15s", "30s", "30s", "30s"]
"""
)
MODELS = """
model_list:
  - model_name: stand-in
    litellm_params: {model: openai/stand-in, api_base: os.environ/MODEL_URL, api_key: os.environ/FAKE_KEY}
hookmill:
  aliases:
    fast: {candidates: [stand-in]}
"""
PLACE = """
command = {command}
url = "{url}"
api_key = "env:N8N_API_KEY"

[config]
gateway_url = "{gateway}"
admin_url = "{admin}"
slack_url = "{chat}/services/team"
slack_urgent_url = "{chat}/services/urgent"
http_url = "{chat}/services/generic"
http_pipelines = "invoices, contracts"
mail_pipelines = "letters"
feed_url = "{chat}/feed.xml"
days_back = 0
claim_s = 20

[credentials.hookmillSignature]
type = "crypto"
hmacSecret = "env:N8N_SECRET"

[credentials.hookmillHeader]
type = "httpHeaderAuth"
name = "X-Hookmill-Token"
value = "env:N8N_TOKEN"

[credentials.hookmillIntake]
type = "crypto"
hmacSecret = "env:N8N_SECRET"

[credentials.hookmillProvider]
type = "httpHeaderAuth"
name = "X-Provider-Token"
value = "env:N8N_PROVIDER"

[credentials.hookmillHttp]
type = "httpHeaderAuth"
name = "Authorization"
value = "env:N8N_PROVIDER"

[credentials.hookmillToken]
type = "httpBearerAuth"
token = "env:N8N_HOOKMILL_TOKEN"

[credentials.hookmillSink]
type = "hookmillSinkApi"
secrets = "env:N8N_NODE_SECRETS"
tolerance = 300

[credentials.hookmillSource]
type = "hookmillSourceApi"
gatewayUrl = "{gateway}"
source = "node"
secret = "env:NODE_SOURCE_SECRET"

[credentials.hookmillApi]
type = "hookmillApi"
gatewayUrl = "{gateway}"
adminUrl = "{admin}"
token = "env:N8N_HOOKMILL_TOKEN"

[credentials.hookmillRedis]
type = "redis"
host = "127.0.0.1"
port = {redis}
database = 1

[credentials.hookmillSmtp]
type = "smtp"
host = "127.0.0.1"
port = {smtp}
secure = false
disableStartTls = true
"""


class Place:
    """`with Place(folder, redis) as place`: everything runs, and the workflows are live."""

    def __init__(self, folder: Path, redis: EmbeddedRedis, *, model_url: str) -> None:
        self.folder, self.redis = folder, redis
        (folder / "n8n").mkdir()
        (folder / "hookmill").mkdir()
        self.chat, self.mail = Chat(), Mailbox(free_port())
        self.n8n = N8n(
            folder / "n8n",
            N8N_OTEL_ENABLED="true",
            N8N_OTEL_EXPORTER_OTLP_ENDPOINT=self.chat.url,
            N8N_OTEL_TRACES_SAMPLE_RATE="1",
        )
        put_into(self.n8n.folder)
        config = HOOKMILL.replace("@@N8N@@", self.n8n.url)
        env = {"N8N_SECRET": SECRET, "N8N_TOKEN": TOKEN, "MODEL_URL": model_url}
        env |= {"NODE_SECRET": NODE_SECRET, "NODE_SOURCE_SECRET": NODE_SOURCE_SECRET}
        self.stack = Stack(folder / "hookmill", redis.url, config=config, models=MODELS, env=env)
        self.client = httpx.Client(base_url=self.n8n.url, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        self.n8n.start()
        self.api_key = api_key(self.n8n.url)
        self.write()
        self.stack.call(
            lambda ledger: ledger.put_token(digest(API), name="n8n", scopes=("read", "replay"), expires=None)
        )
        self.stack.start_gateway()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.n8n.__exit__()
        self.stack.__exit__()
        self.mail.stop()
        self.chat.stop()

    def write(self) -> None:
        told = PLACE.format(
            command=json.dumps(self.n8n.command),
            url=self.n8n.url,
            gateway=self.stack.url,
            admin=f"http://127.0.0.1:{self.stack.admin_port}",
            chat=self.chat.url,
            redis=self.redis.server.address.port,
            smtp=self.mail.port,
        )
        (self.folder / "n8n.toml").write_text(told)

    def hookmill(self, *arguments: str, folder: Path = WORKFLOWS) -> subprocess.CompletedProcess[str]:
        """Run `hookmill n8n …` as a person does."""
        env = self.n8n.cli_env | {
            "N8N_SECRET": SECRET,
            "N8N_TOKEN": TOKEN,
            "N8N_PROVIDER": PROVIDER,
            "N8N_HOOKMILL_TOKEN": API,
            "N8N_API_KEY": self.api_key,
            "N8N_NODE_SECRETS": f"{OLD_NODE_SECRET} {NODE_SECRET}",
            "NODE_SOURCE_SECRET": NODE_SOURCE_SECRET,
        }
        command = [sys.executable, "-m", "gateway.cli.main", "n8n", *arguments]
        more = ["--dir", str(folder), "--place", str(self.folder / "n8n.toml")]
        return subprocess.run([*command, *more], env=env, capture_output=True, text=True, timeout=600, check=False)

    def push(self, *names: str, folder: Path = WORKFLOWS) -> None:
        ended = self.hookmill("push", *names, folder=folder)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def runs(self, workflow_id: str) -> int:
        """How often a workflow came to a good end, as n8n's API says."""
        asked = {"workflowId": workflow_id, "status": "success", "limit": "250"}
        answer = self.client.get("/api/v1/executions", params=asked, headers={"X-N8N-API-KEY": self.api_key})
        return len(answer.json()["data"])

    def execute(self, workflow_id: str) -> str:
        """Start a workflow by n8n's command line, as its schedule would."""
        command = [*self.n8n.command, "execute", f"--id={workflow_id}"]
        ended = subprocess.run(command, env=self.n8n.cli_env, capture_output=True, text=True, timeout=180, check=False)
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
        return ended.stdout

    def deliver(
        self, body: Mapping[str, Any] | bytes, *, path="hookmill", delivery: str | None = None, **over: Any
    ) -> httpx.Response:
        """Post to n8n as our webhook sink does: `age` seconds ago, `sent` instead of what is signed, more `headers`."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        delivery = delivery or new_id()
        at = str(int(time.time() - over.pop("age", 0)))
        key = over.pop("key", KEY)
        mac = hmac.digest(
            key if isinstance(key, bytes) else key.encode(), f"{delivery}.{at}.".encode() + raw, hashlib.sha256
        )
        signature = over.pop("signature", "{}").format("v1," + base64.b64encode(mac).decode())
        signed = {"webhook-id": delivery, "webhook-timestamp": at, "webhook-signature": signature, "traceparent": TRACE}
        headers = HEADERS | signed | over.pop("headers", {})
        return self.client.post(f"/webhook/{path}", content=over.pop("sent", raw), headers=headers, **over)


def new_id() -> str:
    return "dlv_" + secrets.token_hex(16)


def result(event_id: str, *, pipeline="comment-sentiment", **told: Any) -> dict[str, Any]:
    """The body of a result, as our webhook sink sends it."""
    said = {"sentiment": "neutral", "urgency": "low", "language": "en", "reason": "Says thanks.", "redacted": {}} | told
    return {
        "type": "hookmill.result",
        "id": new_id(),
        "event_id": event_id,
        "source": "blog",
        "pipeline": pipeline,
        "timestamp": "2026-11-20T15:17:45.068Z",
        "result": said,
        "degraded": False,
        "generation": 0,
    }


def notice(**told: Any) -> dict[str, Any]:
    """The body of a notice."""
    envelope = result("evt_" + secrets.token_hex(13).upper())
    return envelope | {"type": "hookmill.alert", "source": "_alerts", "pipeline": "_alerts", "result": told}


def api_key(url: str) -> str:
    """Make a key of n8n's public API, as its owner."""
    scopes = ["workflow:activate", "workflow:read", "workflow:list", "execution:read", "execution:list"]
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        login = {"emailOrLdapLoginId": OWNER, "password": PASSWORD}
        until(lambda: client.post("/rest/login", json=login).status_code == 200)
        asked = {"label": secrets.token_hex(4), "expiresAt": None, "scopes": scopes}
        made = client.post("/rest/api-keys", json=asked)
        assert made.status_code == 200, made.text
        return str(made.json()["data"]["rawApiKey"])
