"""A whole Hookmill of real processes on loopback: gateway, workers, a Redis of its own, a receiver, a fake provider.

with Stack(folder, redis) as stack:
    stack.start_gateway(); stack.start_worker()
    stack.post(b"{}")                      # signed, as source `blog`
    stack.delivered                        # what the receiver got, by webhook-id
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import httpx
import uvicorn
from programs import PATIENT
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gateway.cli.embedded import free_port
from gateway.cli.worker import LANES, worker_command, worker_environment
from gateway.ledger import open_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()
CONFIG = """
[sources.blog]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "{pipeline}"
sinks = ["receiver"]
concurrency = {concurrency}

[sinks.receiver]
kind = "webhook"
url = "{url}"
secret = "env:SINK_SECRET"
allow_private = true
concurrency = 16
circuit = {{ open_for = "500ms", ramp = "200ms" }}
retry = ["300ms", "1s", "2s", "4s", "8s"]
"""
MODELS = """
model_list:
  - model_name: lexicon
    litellm_params: {model: local/lexicon}
hookmill:
  aliases:
    fast: {candidates: [lexicon]}
"""


def until(condition, *, within=30.0, every=0.05):
    """Wait for a condition and give what it gave; fails the test when it does not come true in time."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(every)
    raise AssertionError(f"not within {within} s: {condition}")


class Served:
    """A Starlette application on a free loopback port, in a thread with a loop of its own."""

    def __init__(self, app: Starlette) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        until(lambda: self._server.started)

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=5)
        self._socket.close()


class Stack:
    """Starts the parts as asked, each once or several times; ends by pid what it started."""

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        pipeline="comment-sentiment",
        models=MODELS,
        concurrency=40,
        config=CONFIG,
        env: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.redis_url, self.more = folder, redis_url, dict(env or {})
        self.delivered: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.tries: Counter[str] = Counter()
        self.answer = lambda nth: 200  # noqa: ARG005 - a test may answer by the number of the try
        self.receiver = Served(Starlette(routes=[Route("/in", self._receive, methods=["POST"])]))
        url = f"{self.receiver.url}/in"
        (folder / "hookmill.toml").write_text(config.format(pipeline=pipeline, concurrency=concurrency, url=url))
        (folder / "models.yaml").write_text(models)
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._started: list[subprocess.Popen[bytes]] = []
        self.client = httpx.Client(timeout=10, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.receiver.stop()

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOOKMILL_REDIS_URL": self.redis_url,
            "HOOKMILL_CONFIG": str(self.folder / "hookmill.toml"),
            "HOOKMILL_DATA": str(self.folder / "data"),
            "HOOKMILL_SIGNING_KEY": "signing-key-of-the-tests",
            "BLOG_SECRET": SECRET,
            "SINK_SECRET": SECRET,
            "FAKE_KEY": "sk-fake",
            **self.more,
        }

    def start_gateway(self) -> subprocess.Popen[bytes]:
        ports = ("--port", str(self.port), "--admin-port", str(self.admin_port))
        command = [sys.executable, "-m", "gateway.serve", "--host", "127.0.0.1", *ports]
        process = self._start(command, "gateway")
        until(lambda: self._ready(process))
        return process

    def restart_gateway(self) -> subprocess.Popen[bytes]:
        """End the gateway that listens, if one does, and start another."""
        self.kill_gateway()
        return self.start_gateway()

    def kill_gateway(self) -> None:
        """SIGKILL the gateway that listens, if one does."""
        for process in [one for one in self._started if one not in self.workers and one.poll() is None]:
            self.kill(process)

    def start_worker(
        self, *, runs=40, deliveries=16, wait=True, lanes=LANES, step_processes: int | None = None
    ) -> subprocess.Popen[bytes]:
        shares = worker_environment(
            run_threads=runs, delivery_threads=deliveries, lanes=lanes, step_processes=step_processes
        )
        command = worker_command(threads=runs + deliveries, processes=1, lanes=lanes)
        number = len(self.workers)
        worker = self._start(command, f"worker{number}", shares | {"HOOKMILL_LOG": "DEBUG"})
        self.workers.append(worker)
        if wait:
            until(lambda: "worker.ready" in self.log(f"worker{number}"), within=180)
        return worker

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a process and the children of its group, as a machine that loses power does."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _start(self, command: list[str], name: str, more: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.env | (more or {}), stdout=log, stderr=log, start_new_session=True
            )
        self._started.append(process)
        return process

    def _ready(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.log("gateway")
        with suppress(httpx.TransportError):
            return self.client.get(f"{self.url}/ready").status_code == 200
        return False

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def signed(self, body: bytes, *, event_id: str | None = None) -> dict[str, str]:
        """Headers of the Standard Webhooks scheme."""
        event_id, now = event_id or f"msg_{secrets.token_hex(8)}", str(int(time.time()))
        mac = hmac.digest(KEY, f"{event_id}.{now}.".encode() + body, hashlib.sha256)
        return {
            "webhook-id": event_id,
            "webhook-timestamp": now,
            "webhook-signature": "v1," + base64.b64encode(mac).decode(),
            "content-type": "application/json",
        }

    def post(self, body: bytes, *, event_id: str | None = None, source: str = "blog") -> httpx.Response:
        headers = self.signed(body, event_id=event_id)
        return self.client.post(f"{self.url}/hooks/{source}", content=body, headers=headers)

    async def burst(self, bodies: list[bytes], *, at_once: int = 50) -> list[tuple[int, dict[str, Any]]]:
        """Post all, so many at once; a 503 or a broken connection is sent again under its id, as providers do."""
        gate = asyncio.Semaphore(at_once)

        async def one(client: httpx.AsyncClient, body: bytes) -> tuple[int, dict[str, Any]]:
            event_id = f"msg_{secrets.token_hex(8)}"
            while True:
                async with gate:
                    with suppress(httpx.TransportError):
                        headers = self.signed(body, event_id=event_id)
                        response = await client.post(f"{self.url}/hooks/blog", content=body, headers=headers)
                        if response.status_code < 500:
                            return response.status_code, response.json()
                await asyncio.sleep(0.2)

        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            return await asyncio.gather(*(one(client, body) for body in bodies))

    def show(self, event_id: str):
        """What the ledger says of that event."""
        return self.call(lambda ledger: ledger.show(event_id))

    def stats(self):
        """The ledger in figures."""
        return self.call(lambda ledger: ledger.stats())

    def call(self, verb):
        """Call a verb of the ledger, as in `call(lambda ledger: ledger.replay(event_id))`."""

        async def call():
            ledger = await open_ledger(self.redis_url, deadline=PATIENT)
            try:
                return await verb(ledger)
            finally:
                await ledger.close()

        return asyncio.run(call())

    async def _receive(self, request: Request) -> Response:
        body, headers = await request.body(), request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
        if headers["webhook-signature"] != expected:
            return Response(status_code=401)
        self.tries[headers["webhook-id"]] += 1
        status = self.answer(self.tries[headers["webhook-id"]])
        if status < 300:
            self.delivered[headers["webhook-id"]].append(
                json.loads(body) | {"traceparent": headers["traceparent"], "at": time.time()}
            )
        return Response(status_code=status)
