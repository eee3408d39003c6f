"""kill -9 of a worker, and of redis-server, during a burst: what is lost, what is repeated, how soon it goes on."""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import burst
from redis import Redis
from redis.exceptions import RedisError

from gateway.ledger.keys import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What came of a burst with a kill in it; seconds."""

    killed: str
    accepted: int
    delivered: int
    lost: int
    repeats: int
    model_calls: int
    most_at_once: int
    orphans: int
    recovery_median: float
    recovery_max: float
    took: float
    ideal: float


class Recovery:
    """Watches runs that lost their worker until another one has begun them."""

    def __init__(self, redis_url: str) -> None:
        self.client = Redis.from_url(redis_url, decode_responses=True)
        self.waits: list[float] = []
        self._thread: threading.Thread | None = None

    def running(self) -> dict[str, str]:
        """The runs that somebody owns now, with their fences."""
        owned = {}
        for run in self.client.zrange(key("due"), 0, -1):
            state, fence = self.client.hmget(key("work", run), "state", "fence")
            if state == "running":
                owned[run] = fence
        return owned

    def watch(self, orphans: dict[str, str], since: float) -> None:
        """Note, for each, how long it took until its fence was another's or it was over."""
        self._thread = threading.Thread(target=self._watch, args=(dict(orphans), since), daemon=True)
        self._thread.start()

    def _watch(self, orphans: dict[str, str], since: float) -> None:
        while orphans and time.monotonic() - since < 120:
            for run, fence in list(orphans.items()):
                try:
                    now = self.client.hget(key("work", run), "fence")
                except RedisError:
                    continue
                if now != fence:
                    self.waits.append(time.monotonic() - since)
                    del orphans[run]
            time.sleep(0.05)

    def wait(self) -> None:
        if self._thread:
            self._thread.join(timeout=120)


def kill_worker(events=500, latency=2.0, limit=20, *, after=5.0) -> Kill:
    """Kill the first of two workers, `after` seconds into the burst."""
    watched: list[Recovery] = []
    counted: list[int] = []

    def during(stack, _redis):
        recovery = Recovery(stack.redis_url)
        watched.append(recovery)
        time.sleep(after)
        children = Path(f"/proc/{stack.workers[0].pid}/task/{stack.workers[0].pid}/children").read_text().split()
        stack.kill(stack.workers[0])
        since = time.monotonic()
        owners = tuple(f"-{child}/" for child in children)
        orphans = {run: fence for run, fence in recovery.running().items() if any(one in fence for one in owners)}
        counted.append(len(orphans))
        recovery.watch(orphans, since)

    done = burst.run(events, latency, limit, workers=2, during=during)
    return _kill("worker", done, counted, watched)


def kill_redis(events=500, latency=2.0, limit=20, *, after=5.0, away=1.0) -> Kill:
    """Kill redis-server and start it again from its append-only file; recovery is to the next saved step."""
    watched: list[Recovery] = []

    def during(stack, redis):
        time.sleep(after)
        redis.kill()
        time.sleep(away)
        redis.start()
        since = time.monotonic()
        recovery = Recovery(stack.redis_url)
        watched.append(recovery)
        before = len(stack.delivered)
        while len(stack.delivered) <= before and time.monotonic() - since < 60:
            time.sleep(0.02)
        recovery.waits.append(time.monotonic() - since)

    done = burst.run(events, latency, limit, workers=2, during=during)
    return _kill("redis-server", done, [0], watched)


def _kill(name: str, done: burst.Burst, counted: list[int], watched: list[Recovery]) -> Kill:
    for recovery in watched:
        recovery.wait()
    waits = sorted(wait for recovery in watched for wait in recovery.waits)
    kept = {name: value for name, value in asdict(done).items() if name != "turned_away"}
    return Kill(
        killed=name,
        orphans=sum(counted),
        recovery_median=round(waits[len(waits) // 2], 2) if waits else 0.0,
        recovery_max=round(waits[-1], 2) if waits else 0.0,
        **kept,
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500)
    options = parser.parse_args()
    for kill in (kill_worker, kill_redis):
        print(json.dumps(asdict(kill(options.events))))


if __name__ == "__main__":
    main()
