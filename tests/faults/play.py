"""A play: events are sent, something fails, it heals; then every event is asked what became of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from bench.kills import Recovery
from faults.checker import Row, fates, judge

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from faults.world import World

AT_ONCE = 60
PAUSE, LONGEST_PAUSE = 0.2, 3.0  # seconds until a sender repeats it
PATIENCE = 90.0  # seconds a sender repeats what was not accepted


class Play:
    """One fault on the world; `long` says which form is played."""

    def __init__(self, world: World, name: str, *, long: bool) -> None:
        self.world, self.name, self.long = world, name, long
        self.prefix = f"{name}-{time.time_ns() // 1_000_000}-"
        self.attempted: list[str] = []
        self.acknowledged: dict[str, set[str]] = defaultdict(set)
        self.ambiguous: set[str] = set()
        self.answers: Counter[int] = Counter()
        self.recoveries: list[float] = []
        self.row: Row | None = None
        self._watched: list[Recovery] = []

    def times(self, short: int, long: int) -> range:
        return range(long if self.long else short)

    # Sending

    def send(self, number: int, *, urls: list[str] | None = None, **body: str) -> None:
        """Post so many events at once, each until it is accepted."""
        asyncio.run(self._send(number, urls or self.world.urls, body, rate=None, ended=None))

    @contextmanager
    def load(self, *, rate: float, source: str = "blog", pause: float = PAUSE) -> Iterator[None]:
        """Post so many events a second until the block ends; then wait until each was accepted, or given up."""
        ended = threading.Event()
        sending = threading.Thread(
            target=lambda: asyncio.run(
                self._send(10**9, self.world.urls, {}, rate=rate, ended=ended, source=source, pause=pause)
            )
        )
        sending.start()
        try:
            yield
        finally:
            ended.set()
            sending.join(timeout=PATIENCE + 30)

    async def _send(
        self,
        number: int,
        urls: list[str],
        body: dict[str, str],
        *,
        rate: float | None,
        ended: threading.Event | None,
        source: str = "blog",
        pause: float = PAUSE,
    ) -> None:
        gate = asyncio.Semaphore(AT_ONCE if rate is None else 10_000)
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client, asyncio.TaskGroup() as group:
            for at in range(number):
                if ended and ended.is_set():
                    return
                sent = f"{self.prefix}{len(self.attempted)}"
                self.attempted.append(sent)
                target = [f"{urls[(at + turn) % len(urls)]}/hooks/{source}" for turn in range(len(urls))]
                group.create_task(self._until_accepted(client, gate, target, sent, {"number": sent, **body}, pause))
                if rate:
                    await asyncio.sleep(1 / rate)

    async def _until_accepted(
        self, client: httpx.AsyncClient, gate: asyncio.Semaphore, targets: list[str], sent: str, body: Any, pause: float
    ) -> None:
        ends = time.monotonic() + PATIENCE
        turn = 0
        while time.monotonic() < ends:
            async with gate:
                if await self.post(client, targets[turn % len(targets)], sent, body):
                    return
            turn += 1
            await asyncio.sleep(pause)
            if (
                pause >= PAUSE
            ):  # not in a storm; else all who share this loop would wait for each other in a long outage
                pause = min(pause * 1.5, LONGEST_PAUSE)

    async def post(self, client: httpx.AsyncClient, url: str, sent: str, body: Any) -> bool:
        """Post once, signed anew; tell whether it was accepted."""
        text = httpx.Request("POST", url, json=body).content
        try:
            response = await client.post(url, content=text, headers=self.world.stack.signed(text, event_id=sent))
        except httpx.TransportError:
            self.ambiguous.add(sent)
            return False
        self.answers[response.status_code] += 1
        if response.is_success:
            self.acknowledged[sent].add(response.json()["event_id"])
        elif response.status_code >= 500:
            self.ambiguous.add(sent)
        return response.is_success

    # Harm

    def kill_worker(self, *workers: subprocess.Popen[bytes]) -> int:
        """SIGKILL workers (or the oldest) and watch what they owned until somebody else has it; give how much."""
        recovery = Recovery(self.world.redis.url)
        victims = workers or (self.world.workers[0],)
        owners = tuple(f"-{child}/" for one in victims for child in self.world.children(one))
        for one in victims:
            self.world.stack.kill(one)
        since = time.monotonic()
        orphans = {run: fence for run, fence in recovery.running().items() if any(one in fence for one in owners)}
        recovery.watch(orphans, since)
        self._watched.append(recovery)
        return len(orphans)

    def recovered_since(self, healed: float, *, within: float = 60.0) -> None:
        """Note how long after `healed` (monotonic) the next result arrived."""
        before = len(self.world.stack.delivered)
        while len(self.world.stack.delivered) <= before and time.monotonic() - healed < within:
            time.sleep(0.02)
        self.recoveries.append(time.monotonic() - healed)

    # The end

    def check(
        self, fault: str, *, within: float = 60.0, remark: str = "", open_after: int = 0, may_lose: bool = False
    ) -> Row:
        """Wait until all is over and judge; the promises that every fault has to leave whole are asserted here.

        `open_after` is how many works may still not be over (a poison that is not buried yet). `may_lose` is for what
        nobody promises.
        """
        ends = time.monotonic() + within
        while time.monotonic() < ends and self._open() > open_after:
            time.sleep(0.1)
        for recovery in self._watched:
            recovery.wait()
            self.recoveries += recovery.waits
        form = "long" if self.long else "short"
        self.row = row = judge(
            f"{fault} ({form})",
            attempted=self.attempted,
            acknowledged=self.acknowledged,
            ambiguous=self.ambiguous,
            known=fates(self.world.redis.url, self.prefix),
            delivered=self.world.stack.delivered,
            tries=self.world.stack.tries,
            provider=self.world.provider,
            recoveries=self.recoveries,
            remark=remark,
        )
        assert (row.unexpected, row.duplicated) == (0, 0), row
        assert may_lose or row.lost == open_after, row
        assert self._open() == open_after, f"stranded: {self._stranded()}"
        return row

    def _open(self) -> int:
        return sum(not fate.over for fate in fates(self.world.redis.url, self.prefix))

    def _stranded(self) -> list[Any]:
        return [fate for fate in fates(self.world.redis.url, self.prefix) if not fate.over][:5]
