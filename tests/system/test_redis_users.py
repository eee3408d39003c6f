"""What gateway/DEPLOY.md says of TLS and of users, on a real Redis: the whole way of an event, and what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from certificates import make_certificate
from programs import example
from redis import Redis
from redis.exceptions import NoPermissionError
from stack import Stack, until

from gateway.cli.embedded import DURABLE, Address, EmbeddedRedis, EmbeddedServer, find_server, free_port
from gateway.ledger.keys import KEYS, key
from gateway.ledger.scripts import NAMES, SHARED

ROOT = Path(__file__).parents[2]
LUA = ROOT / "gateway/ledger/lua"
RULES = example("acl", {})
USERS = ("gateway", "worker", "ops")
SCRIPTS = {
    "gateway": {"admit", "progress", "replay", "discard", "pause"},
    "worker": {
        *("admit", "begin", "renew", "checkpoint", "finish", "postpone", "bury", "sweep", "schedule", "alert"),
        *("acquire", "release", "spend", "notice"),
    },
    "ops": {"replay", "discard", "cancel", "pause"},
}


class Secured:
    """A Redis that wants TLS and knows nobody but the users of the document."""

    def __init__(self, folder):
        make_certificate(folder)
        self.folder, self.port, rules = folder, free_port(), folder / "users.acl"
        rules.touch()
        options = {"tls-port": str(self.port), "tls-auth-clients": "no", "aclfile": str(rules)}
        options |= {"tls-cert-file": str(folder / "cert.pem"), "tls-key-file": str(folder / "key.pem")}
        self.server = EmbeddedRedis(
            EmbeddedServer(
                binary=find_server(),
                folder=folder / "redis",
                address=Address(port=free_port()),
                options={**DURABLE, **options},
            )
        )
        self.server.start()
        rules.write_text(RULES)
        with Redis.from_url(self.server.url) as client:
            client.acl_load()

    def url(self, user):
        login = f"{user}:{user.upper()}_PASSWORD"
        return f"rediss://{login}@127.0.0.1:{self.port}/0?ssl_ca_certs={self.folder}/cert.pem"


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    made = Secured(tmp_path_factory.mktemp("secured"))
    yield made
    made.server.kill()


@pytest.fixture(scope="module")
def stack(secured, tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("stack"), secured.url("ops")) as opened:
        opened.more["HOOKMILL_REDIS_URL"] = secured.url("gateway")
        opened.start_gateway()
        opened.more["HOOKMILL_REDIS_URL"] = secured.url("worker")
        opened.start_worker(runs=4, deliveries=4)
        yield opened


def hookmill(stack, url, *arguments):
    command = [sys.executable, "-m", "gateway.cli.main", *arguments]
    env = stack.env | {"HOOKMILL_REDIS_URL": url, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=stack.folder, env=env)


def test_an_event_goes_its_whole_way_over_tls_each_part_under_its_own_user(secured, stack):
    sent = stack.post(b'{"text": "I love this"}')
    assert sent.status_code == 202
    event_id = sent.json()["event_id"]
    until(lambda: any(one[0]["event_id"] == event_id for one in list(stack.delivered.values())))
    token = hookmill(stack, secured.url("ops"), "token", "create", "tests").stdout.strip().splitlines()[-1]
    shown = stack.client.get(f"{stack.url}/events/{event_id}", headers={"authorization": f"Bearer {token}"})
    assert (shown.status_code, shown.json()["state"]) == (200, "done")
    for arguments in (
        ["events", "list"],
        ["dead", "list"],
        ["stats"],
        ["models"],
        ["audit"],
        ["why", event_id],
        ["token", "list"],
    ):
        done = hookmill(stack, secured.url("ops"), *arguments)
        assert done.returncode == 0, done.stderr
    assert json.loads(hookmill(stack, secured.url("ops"), "stats", "--json").stdout)["candidates"], "a model was called"
    assert stack.client.get(f"{stack.url}/ready").status_code == 200
    again = hookmill(stack, secured.url("ops"), "events", "replay", event_id, "--json")
    assert json.loads(again.stdout)[0]["answer"] == "queued", again.stderr
    until(lambda: max(len(one) for one in list(stack.delivered.values())) > 1)
    with Redis.from_url(secured.url("ops")) as client:
        assert client.lrange(key("audit"), 0, 0)
    assert "NOPERM" not in stack.log("gateway") + stack.log("worker0")
    assert "no permissions" not in stack.log("gateway") + stack.log("worker0")


@pytest.mark.parametrize("user", USERS)
def test_a_user_is_refused_what_it_does_not_need(secured, user):
    with Redis.from_url(secured.url(user)) as client:
        for command in (
            ["FLUSHALL"],
            ["CONFIG", "GET", "*"],
            ["KEYS", "*"],
            ["SCAN", "0"],
            ["SHUTDOWN"],
            ["ACL", "LIST"],
        ):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)
        for name in ("other", "{hookmill:2}:work:1", "{hookmill}"):
            with pytest.raises(NoPermissionError):
                client.hget(name, "state")
            with pytest.raises(NoPermissionError):
                client.eval("return redis.call('SET', KEYS[1], 1)", 1, name)


def test_only_the_command_line_makes_tokens(secured):
    for user in ("gateway", "worker"):
        with Redis.from_url(secured.url(user)) as client, pytest.raises(NoPermissionError):
            client.hset(key("tokens"), "digest", "{}")
    with Redis.from_url(secured.url("worker")) as client, pytest.raises(NoPermissionError):
        client.hgetall(key("tokens"))
    with Redis.from_url(secured.url("gateway")) as client, pytest.raises(NoPermissionError):
        client.blpop([key("lane", "normal")], timeout=0.1)
    assert [kind for kind in KEYS if key(kind).partition(":1}:")[2].startswith("t")] == ["tokens"]


@pytest.mark.parametrize("user", USERS)
def test_the_commands_of_a_users_scripts_are_allowed_and_no_others_but_the_plain_ones(user):
    allowed = set(re.findall(r"\+(\S+)", re.search(rf"^user {user} .*$", RULES, re.MULTILINE)[0]))
    called = set()
    for name in {"shared"}.union(SCRIPTS[user], *(SHARED.get(name, ()) for name in SCRIPTS[user])):
        called |= {one.lower() for one in re.findall(r"redis\.p?call\('(\w+)'", (LUA / f"{name}.lua").read_text())}
    assert called - allowed == set()
    assert set().union(*SCRIPTS.values()) == set(NAMES)


@pytest.mark.parametrize("command", ["gateway", "worker", "stats"])
def test_a_certificate_that_is_not_trusted_is_one_clear_line(secured, stack, tmp_path, command):
    make_certificate(tmp_path)
    url = secured.url("ops").replace(str(secured.folder), str(tmp_path))
    refused = hookmill(stack, url, command)
    assert refused.returncode == 2
    [line] = refused.stderr.strip().splitlines()
    assert re.search(r"the certificate of Redis at 127\.0\.0\.1:\d+/0 is not trusted: self-signed certificate;", line)
    assert "ssl_ca_certs" in line
    assert "PASSWORD" not in line


@pytest.mark.parametrize("wrong", ["gateway:WRONG@", "nobody:GATEWAY_PASSWORD@"])
def test_a_user_or_password_that_is_wrong_is_one_clear_line(secured, stack, wrong):
    url = secured.url("gateway").replace("gateway:GATEWAY_PASSWORD@", wrong)
    refused = hookmill(stack, url, "gateway")
    assert refused.returncode == 2
    [line] = refused.stderr.strip().splitlines()
    assert line.endswith("/0 does not take this user or password")
    assert "WRONG" not in line
