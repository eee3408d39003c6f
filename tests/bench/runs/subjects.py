"""Who works: Hookmill, stock Dramatiq and Celery, each two processes of 8 threads with a redis-server of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from bench.gateway.subjects import ROOT, cpu_seconds, own_redis, used_memory
from bench.memory import family
from bench.peers import peers_python
from bench.runs.admit import admit
from stack import until

from gateway.cli.worker import worker_command, worker_environment
from gateway.ledger.keys import key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APPS = Path(__file__).parent / "apps"
PROCESSES, THREADS = 2, 8
PATIENCE = 240  # seconds to start
LANES = ("high", "normal", "low")
SHAPES = {"one": 1, "three": 3}  # pipelines, and their steps
SOURCE = """
[sources.{name}]
scheme = "standard"
secrets = ["env:BENCH_SECRET"]
pipeline = "{file}:{name}"
sinks = []
"""
MODELS = "model_list: [{model_name: lexicon, litellm_params: {model: local/lexicon}}]"
HOOKMILL, DRAMATIQ, CELERY, PREFORK = "Hookmill", "Dramatiq", "Celery, threads", "Celery, prefork"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Workers over a Redis: `queue` takes a shape and a number of runs, `left` counts the runs that are not over."""

    name: str
    url: str
    redis_pid: int
    masters: list[int]
    queue: Callable[[str, int], None]
    left: Callable[[redis.Redis], int]
    client: redis.Redis = field(repr=False)

    @property
    def pids(self) -> list[int]:
        """All processes of its workers."""
        return [pid for master in self.masters for pid in family(master)]

    @property
    def cpu(self) -> float:
        """Seconds of CPU that its workers have used."""
        return sum(map(cpu_seconds, self.pids))

    @property
    def redis_cpu(self) -> float:
        """The same of its Redis."""
        return cpu_seconds(self.redis_pid)

    @property
    def memory(self) -> int:
        """Bytes that its Redis uses."""
        return used_memory(self.url)

    def over(self) -> bool:
        """Whether nothing is left."""
        return self.left(self.client) == 0

    def halt(self) -> None:
        """Stop its processes where they are: they wait while another subject works, or while runs are queued."""
        self._signal(signal.SIGSTOP)

    def go(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def hookmill(
    folder: Path, *, more: str = "", env: dict[str, str] | None = None, name: str = HOOKMILL
) -> Iterator[Subject]:
    """Our worker as `hookmill worker` runs it, its log in a file; `more` is of its configuration."""
    with own_redis(folder) as server:
        sources = [SOURCE.format(name=shape, file=f"{APPS.name}/noop.py") for shape in SHAPES]
        (folder / APPS.name).symlink_to(APPS)
        (folder / "hookmill.toml").write_text("".join([*sources, more]))
        (folder / "models.yaml").write_text(MODELS)
        env = (
            (env or {})
            | {
                "HOOKMILL_REDIS_URL": server.url,
                "HOOKMILL_CONFIG": str(folder / "hookmill.toml"),
                "HOOKMILL_MODELS": str(folder / "models.yaml"),
                "HOOKMILL_DATA": str(folder / "data"),
                "BENCH_SECRET": "whsec_" + "a" * 32,
            }
            | worker_environment(run_threads=THREADS, delivery_threads=1, lanes=LANES)
        )
        command = worker_command(threads=THREADS, processes=PROCESSES, lanes=LANES)
        client = redis.Redis.from_url(server.url)
        with _working([command], folder, env) as masters:
            until(lambda: client.zcard(key("workers")) == PROCESSES, within=PATIENCE)
            yield Subject(
                name=name,
                url=server.url,
                redis_pid=server.pid,
                masters=masters,
                queue=lambda shape, count: admit(server.url, shape, f"{APPS.name}/noop.py:{shape}", count),
                left=_unfinished,
                client=client,
            )


def _unfinished(client: redis.Redis) -> int:
    counts = client.hmget(key("counts"), "accepted", "done", "dead", "discarded")
    accepted, *over = (int(one or 0) for one in counts)
    return accepted - sum(over)


@contextmanager
def dramatiq(folder: Path) -> Iterator[Subject]:
    """Stock Dramatiq with its RedisBroker."""
    options = ["--processes", str(PROCESSES), "--threads", str(THREADS)]
    command = [str(peers_python()), "-m", "dramatiq", "dramatiq_app", "--path", str(APPS), *options]
    with own_redis(folder) as server, _peer(DRAMATIQ, folder, server, [command], "dramatiq_app.py") as subject:
        yield subject


@contextmanager
def celery_threads(folder: Path) -> Iterator[Subject]:
    """Celery, two workers with the pool of threads."""
    pool = ["--pool", "threads", "--concurrency", str(THREADS)]
    commands = [_celery(f"worker{number}", pool) for number in range(PROCESSES)]
    with own_redis(folder) as server, _peer(CELERY, folder, server, commands, "celery_app.py") as subject:
        yield subject


@contextmanager
def celery_prefork(folder: Path) -> Iterator[Subject]:
    """Celery, one worker with its default pool, of as many processes as the others have threads."""
    commands = [_celery("worker", ["--pool", "prefork", "--concurrency", str(PROCESSES * THREADS)])]
    with own_redis(folder) as server, _peer(PREFORK, folder, server, commands, "celery_app.py") as subject:
        yield subject


SUBJECTS = {"hookmill": hookmill, "dramatiq": dramatiq, "celery-threads": celery_threads,
            "celery-prefork": celery_prefork}  # fmt: skip


def _celery(name: str, pool: list[str]) -> list[str]:
    program = [str(peers_python()), "-m", "celery", "--workdir", str(APPS), "--app", "celery_app", "worker"]
    return [*program, "--hostname", f"{name}@%h", *pool]


@contextmanager
def _peer(name, folder, server, commands, file) -> Iterator[Subject]:
    env = {"REDIS_URL": server.url}

    def queue(shape: str, count: int) -> None:
        command = [str(peers_python()), str(APPS / file), str(SHAPES[shape]), str(count)]
        subprocess.run(command, env=os.environ | env, check=True, timeout=600)

    with _working(commands, folder, env) as masters:
        subject = Subject(
            name=name,
            url=server.url,
            redis_pid=server.pid,
            masters=masters,
            queue=queue,
            left=_unacknowledged,
            client=redis.Redis.from_url(server.url),
        )
        queue("one", 100)
        until(subject.over, within=PATIENCE)
        yield subject


def _unacknowledged(client: redis.Redis) -> int:
    """Count what Celery, or Dramatiq, has not acknowledged; both queue a run's next step before that."""
    with client.pipeline(transaction=True) as asked:
        return sum(asked.llen("celery").hlen("unacked").hlen("dramatiq:default.msgs").execute())


@contextmanager
def _working(commands: list[list[str]], folder: Path, env: dict[str, str]) -> Iterator[list[int]]:
    """Start them, give their process ids, and end them."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOOKMILL_")} | env
    env |= {"PYTHONPATH": str(ROOT)}
    with (folder / "worker.log").open("ab") as log:
        started = [
            subprocess.Popen(
                one, cwd=folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
            for one in commands
        ]
    try:
        yield [one.pid for one in started]
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
