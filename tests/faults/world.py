"""One whole Hookmill on which the faults are played, one after another: two gateways, two workers, Redis, model, sink.

Gateways and workers reach Redis, and workers the sink, through proxies of their own, so each way can fail alone.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fakes import model_server
from faults.proxy import Proxy
from redis import Redis
from stack import Stack, until

from gateway.cli.embedded import DURABLE, Address, EmbeddedRedis, EmbeddedServer, find_server, free_port
from gateway.ledger.scripts import render

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from replicas import Replicas

CONFIG = """
[sources.blog]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "app.py:work"
sinks = ["receiver"]
concurrency = 40
timeout = "3m"
retry = { attempts = 8, first = "200ms", cap = "1s" }

[sources.storm]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "app.py:work"
sinks = ["receiver"]
concurrency = 4
max_backlog = 10

[sinks.receiver]
kind = "webhook"
url = "<sink>"
secret = "env:SINK_SECRET"
allow_private = true
concurrency = 32
timeout = "1s"
circuit = { open_for = "500ms", ramp = "200ms" }
retry = ["200ms", "500ms", "1s", "2s", "2s", "2s", "4s", "4s", "8s", "8s", "8s", "8s", "8s"]
"""
MODELS = """
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-test, api_base: "<model>", api_key: os.environ/FAKE_KEY, timeout: 8}
hookmill:
  aliases:
    fast: {candidates: [gpt], deadline: 20s}
  candidates:
    gpt: {max_concurrent: 40, circuit: {failures: 5, open_for: 1s}}
"""
LATENCY = 0.3
NO_LIMIT = resource.RLIM_INFINITY
PREPARED = "#!/bin/sh\n# Without this, the first write beyond its limit would end the server instead of failing.\n"


class World:
    """Starts everything, and ends by pid what it started; `replicas` run already, and no proxies stand before them."""

    def __init__(
        self, folder: Path, *, redis_options: Mapping[str, str] | None = None, replicas: Replicas | None = None
    ) -> None:
        self._opened = ExitStack()
        self.folder, self.replicas = folder, replicas
        self._redis = EmbeddedRedis(
            EmbeddedServer(
                binary=_careful(folder),
                folder=folder / "redis",
                address=Address(port=free_port()),
                options={**DURABLE, **(redis_options or {})},
            )
        )
        self.provider = self._opened.enter_context(model_server.serve(latency=LATENCY))
        port = self.redis.server.address.port
        self.at_gateway, self.at_worker, self.at_sink = Proxy(port), Proxy(port), Proxy()
        for proxy in (self.at_gateway, self.at_worker, self.at_sink):
            self._opened.callback(proxy.close)
        self.config = CONFIG.replace("<sink>", f"{self.at_sink.http_url}/in")
        models = MODELS.replace("<model>", self.provider.url)
        self.stack = self._opened.enter_context(Stack(folder, self.redis.url, models=models))
        self.configure("")
        self.at_sink.target = int(self.stack.receiver.url.rpartition(":")[2])
        (folder / "app.py").write_text((Path(__file__).parent / "app.py").read_text())
        self.ports = [free_port(), free_port()]
        self.gateways: dict[int, subprocess.Popen[bytes]] = {}
        self.direct = Redis.from_url(self.redis.url, decode_responses=True)
        self._opened.callback(self.direct.close)

    def __enter__(self) -> Self:
        if not self.replicas:
            self.redis.start()
            self._opened.callback(self.redis.stop)
        try:
            self.stand_up()
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def redis(self) -> EmbeddedRedis:
        """What holds the truth now."""
        return self.replicas.primary if self.replicas else self._redis

    def redis_url(self, proxy: Proxy) -> str:
        """What a gateway or a worker is told: where that proxy is, or the Sentinels are."""
        return self.replicas.url if self.replicas else proxy.redis_url

    def configure(self, more: str) -> None:
        """Write hookmill.toml, with some more lines in front; whoever runs goes on under the old one."""
        (self.folder / "hookmill.toml").write_text(more + self.config)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    @property
    def workers(self) -> list[subprocess.Popen[bytes]]:
        return [one for one in self.stack.workers if one.poll() is None]

    def digest(self, script: str) -> str:
        return hashlib.sha1(render(script, shebang=True).encode(), usedforsecurity=False).hexdigest()

    def stand_up(self) -> None:
        """Heal everything, and start what is missing: two gateways, two workers."""
        self._told = len(self.stack.log("gateway").splitlines()) if self.gateways else 0
        for proxy in (self.at_gateway, self.at_worker, self.at_sink):
            proxy.heal()
        if self.replicas:
            self.replicas.heal()
        self.provider.default, self.provider.limit, self.provider.latency = model_server.says("yes"), None, LATENCY
        self.stack.answer = lambda *_: 200
        for port in self.ports:
            if port not in self.gateways or self.gateways[port].poll() is not None:
                self.start_gateway(port)
        missing = 2 - len(self.workers)
        for _ in range(missing):
            self.start_worker(wait=False)
        self.ready()

    def start_gateway(self, port: int) -> None:
        self.stack.more["HOOKMILL_REDIS_URL"] = self.redis_url(self.at_gateway)
        self.stack.port, self.stack.url = port, f"http://127.0.0.1:{port}"
        self.gateways[port] = self.stack.start_gateway()

    def start_worker(self, *, wait: bool = True, **more: str) -> subprocess.Popen[bytes]:
        before = dict(self.stack.more)
        self.stack.more |= {"HOOKMILL_REDIS_URL": self.redis_url(self.at_worker), **more}
        try:
            worker = self.stack.start_worker(runs=24, deliveries=16, wait=False)
        finally:
            self.stack.more = before
        if wait:
            self.ready()
        return worker

    def slowest_answer(self) -> float:
        """Give the seconds that the gateways took for the slowest answer since the world stood up."""
        lines = self.stack.log("gateway").splitlines()[self._told :]
        return max(json.loads(line).get("took", 0.0) for line in lines if line.startswith("{"))

    def log(self, worker: subprocess.Popen[bytes]) -> str:
        """Give what a worker has written."""
        return self.stack.log(f"worker{self.stack.workers.index(worker)}")

    def ready(self) -> None:
        """Wait until every worker that runs can begin work."""
        for number, worker in enumerate(self.stack.workers):
            if worker.poll() is None:
                until(lambda number=number: "worker.ready" in self.stack.log(f"worker{number}"), within=180)

    def children(self, worker: subprocess.Popen[bytes]) -> list[str]:
        """Give the pids of the processes that work; a worker's master only watches them."""
        with suppress(OSError):
            return Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        return []

    def owner(self, request: bytes) -> subprocess.Popen[bytes]:
        """Give the worker whose fence stands in that request."""
        return next(
            worker for worker in self.workers if any(f"-{pid}/".encode() in request for pid in self.children(worker))
        )

    def kill_gateway(self, port: int) -> None:
        self.stack.kill(self.gateways[port])

    def kill_workers(self) -> None:
        for worker in self.workers:
            self.stack.kill(worker)

    def stop(self, process: subprocess.Popen[bytes], *, within: float = 40) -> None:
        """End it in good order: SIGTERM to the master alone, as a supervisor does."""
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(within)

    def fill_disk(self) -> None:
        """Let Redis write no more than a little, as on a full disk; no root is needed for one's own process."""
        size = max(one.stat().st_size for one in (self.folder / "redis").rglob("*.aof"))
        resource.prlimit(self.redis.pid, resource.RLIMIT_FSIZE, (size + 2048, NO_LIMIT))

    def clear_disk(self) -> None:
        resource.prlimit(self.redis.pid, resource.RLIMIT_FSIZE, (NO_LIMIT, NO_LIMIT))

    def info(self, section: str) -> dict[str, Any]:
        return dict(self.direct.info(section))


def _careful(folder: Path) -> Any:
    """Give the server program behind a shell that ignores SIGXFSZ, so that a write beyond RLIMIT_FSIZE fails."""
    found = find_server()
    program = folder / "redis-server"
    program.write_text(f'{PREPARED}trap "" XFSZ\nexec "{found.path}" "$@"\n')
    program.chmod(0o700)
    return replace(found, path=str(program))
