"""Streams of an event's progress, as server-sent events: one reader of the ledger for all of them.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.errors import NotFound, Overloaded
from gateway.ledger import LedgerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.types import Receive, Scope, Send

    from gateway.ledger import Ledger, Progress

TICK = 0.25
MOST_READ = 100  # events a read: half a millisecond of Redis' time
HEARTBEAT = 15.0  # quicker than the idle timeouts of proxies, often 30 s or 60 s
LONGEST = 900.0  # after it the reader comes again, and is asked for its link or token again
LAST = "end"  # the id of the event after which there is nothing more to say
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back
]


class Watcher:
    """One open stream: the newest that is known of its event, and whether that was sent."""

    def __init__(self, event_id: str) -> None:
        """Take the event."""
        self.event_id = event_id
        self.latest: Progress | None = None
        self.unsent = False
        self.ends = False
        self.news = asyncio.Event()

    def tell(self, progress: Progress | None) -> None:
        """Hand it the newest; None for an event that is gone."""
        if progress is None:
            self.end()
        elif self.latest is None or self.latest.mark != progress.mark:
            self.latest, self.unsent = progress, True
            self.news.set()

    def end(self) -> None:
        """Ask it to end."""
        self.ends = True
        self.news.set()


class Streams:
    """All open streams of this process, and the one reader of the ledger that serves them."""

    def __init__(
        self, ledger: Ledger, *, tick: float = TICK, heartbeat: float = HEARTBEAT, longest: float = LONGEST
    ) -> None:
        """Take the ledger and, in seconds, the time between reads, between signs of life, and of a whole stream."""
        self._ledger = ledger
        self._tick = tick
        self._heartbeat = heartbeat
        self._longest = longest
        self._watchers: dict[str, set[Watcher]] = {}
        self._marks: dict[str, str] = {}
        self._reader: asyncio.Task[None] | None = None
        self._leaving = False
        self.open = 0

    @contextmanager
    def watch(self, event_id: str, *, most: int) -> Iterator[Watcher]:
        """Count a stream as open; raises Overloaded where there are `most` already, or the gateway is about to stop."""
        if self.open >= most or self._leaving:
            raise Overloaded("There are too many open streams.", retry_after=random.uniform(2, 6))  # noqa: S311 - spreads
        watcher = Watcher(event_id)
        self._watchers.setdefault(event_id, set()).add(watcher)
        self.open += 1
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        try:
            yield watcher
        finally:
            self.open -= 1
            self._forget(watcher)

    def leave(self) -> None:
        """End all streams, and let no other one begin."""
        self._leaving = True
        for watcher in [one for many in self._watchers.values() for one in many]:
            watcher.end()

    async def close(self) -> None:
        """End the reading."""
        self.leave()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})

    async def frames(self, watcher: Watcher) -> AsyncIterator[bytes]:
        """Give what is sent: the progress whenever it changes, signs of life, and at last why it ends."""
        until = asyncio.get_running_loop().time() + self._longest
        while not watcher.ends and asyncio.get_running_loop().time() < until:
            try:
                async with asyncio.timeout(self._heartbeat):
                    await watcher.news.wait()
            except TimeoutError:
                yield b": waiting\n\n"
                continue
            watcher.news.clear()
            if watcher.latest and watcher.unsent:
                watcher.unsent = False
                yield frame(watcher.latest)
                if watcher.latest.over:
                    return
        yield b"retry: %d\n: come again\n\n" % random.randint(1000, 5000)  # noqa: S311 - so that not all come at once

    def _forget(self, watcher: Watcher) -> None:
        left = self._watchers[watcher.event_id]
        left.discard(watcher)
        if not left:
            del self._watchers[watcher.event_id]
            self._marks.pop(watcher.event_id, None)

    async def _read(self) -> None:
        """Read all once per tick, many streams in slices spread over it, so that no webhook waits for a long read."""
        try:
            while self._watchers:
                watched = list(self._watchers)
                slices = [watched[at : at + MOST_READ] for at in range(0, len(watched), MOST_READ)]
                for some in slices:
                    await asyncio.sleep(self._tick / len(slices))
                    await self._ask(some)
        finally:
            self._reader = None

    async def _ask(self, watched: list[str]) -> None:
        try:
            changed = await self._ledger.progress({one: self._marks.get(one, "") for one in watched})
        except LedgerError:
            return  # streams wait with their senders until Redis is back
        for event_id, progress in changed.items():
            if event_id in self._watchers:
                self._marks[event_id] = progress.mark if progress else ""
                for watcher in self._watchers[event_id]:
                    watcher.tell(progress)


def frame(progress: Progress) -> bytes:
    """Write one event: `progress`, or `end` after which nothing follows."""
    kind = b"event: end\nid: end" if progress.over else b"event: progress"
    return kind + b"\ndata: " + json.dumps(progress.json(), separators=(",", ":")).encode() + b"\n\n"


class EventStream:
    """The response: an ASGI application that sends the frames until they or their reader end."""

    def __init__(self, streams: Streams, progress: Progress, *, most: int) -> None:
        """Take the streams of the process, what is known of the event now, and how many streams may be open."""
        self._streams = streams
        self.progress = progress
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; raises Overloaded before anything is sent."""
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        with self._streams.watch(self.progress.id, most=self._most) as watcher:
            watcher.tell(self.progress)
            gone = asyncio.create_task(_disconnected(receive, watcher))
            try:
                await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                async for part in self._streams.frames(watcher):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                gone.cancel()


async def _disconnected(receive: Receive, watcher: Watcher) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watcher.end()


async def begin_stream(streams: Streams, ledger: Ledger, event_id: str, *, most: int) -> EventStream:
    """Look at the event once, and make the response; raises NotFound where there is none."""
    progress = (await ledger.progress({event_id: ""}))[event_id]
    if progress is None:
        raise NotFound
    return EventStream(streams, progress, most=most)
