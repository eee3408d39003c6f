"""A TCP proxy on loopback that fails as told, at run time, and can strike at one exact moment of a conversation.

    proxy = Proxy(target=6379)
    proxy.latency = 0.1                 # seconds, each way, per piece
    proxy.piece = 3                     # no more bytes than this at once
    proxy.hole(); proxy.heal()          # a partition: nothing passes, connections stay; what was held passes after it
    proxy.drop_replies()                # half open: requests arrive, replies do not come back
    proxy.down()                        # connections are ended, and new ones at once; `reset()` ends them once
    proxy.strike(digest, do=kill)       # before a request that holds these bytes passes: kill, and let it not pass
    proxy.strike(digest, do=kill, when="answered")      # it passed and was answered: kill, and let no answer pass

It runs in a thread with a loop of its own. What it cannot do: lose or reorder single packets.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

CHUNK = 65_536
LINGER = struct.pack("ii", 1, 0)  # so that close() sends RST


@dataclass(slots=True, kw_only=True)
class Strike:
    """What to do, once, when bytes pass; `struck` tells that it was done."""

    needle: bytes
    do: Callable[[bytes], object]
    when: Literal["asked", "answered"]
    struck: threading.Event


class Pair:
    """A connection from a client, and the one to the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.tail = self.seen = b""
        self.due: Strike | None = None

    def reset(self) -> None:
        for writer in (self.client, self.server):
            with suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            writer.transport.abort()


class Proxy:
    """Between any client and the server at `127.0.0.1:target`; `target` may be set before the first connection."""

    def __init__(self, target: int = 0) -> None:
        self.target, self.latency, self.piece = target, 0.0, 0
        self.mode: Literal["open", "hole", "half", "down"] = "open"
        self._strikes: list[Strike] = []
        self._pairs: set[Pair] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hole(self) -> None:
        self._switch("hole")

    def drop_replies(self) -> None:
        self._switch("half")

    def down(self) -> None:
        self._switch("down")
        self.reset()

    def heal(self) -> None:
        self.latency, self.piece = 0.0, 0
        if self.mode == "half":  # what was swallowed does not come again
            self.reset()
        self._switch("open")

    def reset(self) -> None:
        """End every connection with a RST."""
        self._call(self._reset())

    def strike(
        self, needle: str, *, do: Callable[[bytes], object], when: Literal["asked", "answered"] = "asked"
    ) -> threading.Event:
        """Do something, in a thread, the next time these bytes are asked or were answered; then end the connection.

        `do` is given the request.
        """
        strike = Strike(needle=needle.encode(), do=do, when=when, struck=threading.Event())
        self._strikes.append(strike)
        return strike.struck

    def close(self) -> None:
        self._call(self._reset())
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def _switch(self, mode: Literal["open", "hole", "half", "down"]) -> None:
        self.mode = mode
        self._loop.call_soon_threadsafe(self._open.clear if mode == "hole" else self._open.set)

    def _call(self, coroutine: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=5)

    async def _reset(self) -> None:
        for pair in list(self._pairs):
            pair.reset()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # the transports close in the turns that follow

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "down":
            writer.transport.abort()
            return
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(writer, to_server)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(reader, to_server, self._ask, pair), self._pump(from_server, writer, self._answer, pair)
            )
        except (OSError, asyncio.CancelledError):
            pair.reset()
        finally:
            self._pairs.discard(pair)
            writer.close()
            to_server.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passes: Callable[[Pair, bytes], Coroutine[object, object, bool]],
        pair: Pair,
    ) -> None:
        while chunk := await reader.read(CHUNK):
            if self.latency:
                await asyncio.sleep(self.latency)
            await self._open.wait()
            if not await passes(pair, chunk):
                continue
            for at in range(0, len(chunk), self.piece or len(chunk)):
                writer.write(chunk[at : at + (self.piece or len(chunk))])
                await writer.drain()
                if self.piece:
                    await asyncio.sleep(0)
        if writer.can_write_eof():
            writer.write_eof()

    async def _ask(self, pair: Pair, chunk: bytes) -> bool:
        seen = pair.tail + chunk
        pair.tail = seen[-64:]
        for strike in self._strikes:
            if strike.needle in seen:
                pair.seen = seen
                self._strikes.remove(strike)
                if strike.when == "asked":
                    return await self._do(strike, pair)
                pair.due = strike
                break
        return True

    async def _answer(self, pair: Pair, chunk: bytes) -> bool:
        del chunk
        if pair.due:
            return await self._do(pair.due, pair)
        return self.mode != "half"

    async def _do(self, strike: Strike, pair: Pair) -> bool:
        await asyncio.to_thread(strike.do, pair.seen)
        pair.reset()
        strike.struck.set()
        return False
