"""A connection that needs not wait for one answer before the next command goes out."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ReadOnlyError, RedisError

from gateway.ledger.connection import no_place_to_stay

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

    from gateway.ledger.connection import Packed


class Call:
    """Packed commands, how many they are, and who waits for their answers."""

    __slots__ = ("answers", "commands", "number", "waiting")

    def __init__(self, commands: tuple[bytes, ...], waiting: asyncio.Future[list[Any]]) -> None:
        """Take what is to be sent."""
        self.commands, self.number, self.waiting = b"".join(commands), len(commands), waiting
        self.answers: list[Any] = []

    def fail(self, error: Exception) -> None:
        """Tell who waits that there will be no answer."""
        if not self.waiting.done():  # else whoever waited has gone
            self.waiting.set_exception(RedisConnectionError(type(error).__name__))

    def take(self, answer: Any) -> bool:
        """Take one answer; tell whether it was the last one."""
        self.answers.append(answer)
        whole = len(self.answers) == self.number
        if whole and not self.waiting.done():
            self.waiting.set_result(self.answers)
        return whole


class Pipe:
    """Sends each command within the call that gives it, and hands the answers out in order."""

    def __init__(self, pool: ConnectionPool) -> None:
        """Take where connections come from; one is taken at the first command, and kept."""
        self._pool = pool
        self._line: Line | None = None
        self._unsent: list[Call] = []
        self._opening: asyncio.Task[None] | None = None

    def send(self, *commands: bytes) -> asyncio.Future[list[Any]]:
        """Send packed commands, one right behind the other, over one connection.

        The future gives their answers, among them errors that Redis answered with; or raises RedisConnectionError.
        Without a connection they go out as soon as there is one. Whoever waits has to set the end of the wait: only the
        oldest answer's time is bounded here, by the socket's timeout.
        """
        call = Call(commands, asyncio.get_running_loop().create_future())
        if self._line is not None and self._line.usable:
            self._line.send(call)
        else:
            self._unsent.append(call)
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
        return call.waiting

    async def close(self) -> None:
        """Close the connection; who still waits for an answer is told so."""
        if self._opening is not None:
            self._opening.cancel()
        self._give_up(RedisConnectionError("closed"))
        await self._release()

    async def _open(self) -> None:
        """Open a connection, and send what waits for one."""
        try:
            await self._release()
            connection: Packed = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            self._line = Line(connection)
            if not self._line.usable:
                raise RedisConnectionError("closed by the server")
            unsent, self._unsent = self._unsent, []
            for call in unsent:
                self._line.send(call)
        except (RedisError, OSError) as error:
            self._give_up(error)
        finally:
            self._opening = None

    def _give_up(self, error: Exception) -> None:
        """Tell who waits for a connection; what was not sent is not sent later, when nobody waits for it."""
        unsent, self._unsent = self._unsent, []
        for call in unsent:
            call.fail(error)

    async def _release(self) -> None:
        """Give the connection back, closed."""
        line, self._line = self._line, None
        if line is not None:
            line.end(RedisConnectionError("closed"))
            await line.connection.disconnect()
            await self._pool.release(line.connection)


class Line(asyncio.Protocol):
    """A connection in use: it takes the answers as they come in, until it ends; then another one must be opened."""

    def __init__(self, connection: Packed) -> None:
        """Take a connection that redis-py has opened, and nobody waits for an answer of."""
        self.connection = connection
        self._loop = asyncio.get_running_loop()
        self._within = float(connection.socket_timeout or 0)
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=connection.read_error)
        self._sent: deque[Call] = deque()
        self._since = 0.0  # when the oldest answer began to be waited for
        self._timer: asyncio.TimerHandle | None = None
        self._transport, self._before = connection.hand_over(self)

    @property
    def usable(self) -> bool:
        """Whether commands can be sent, as far as this side knows."""
        return not self._transport.is_closing()

    def send(self, call: Call) -> None:
        """Send its commands now."""
        self._transport.write(call.commands)
        if not self._sent:
            self._since = self._loop.time()
        self._sent.append(call)
        if self._timer is None:
            self._timer = self._loop.call_later(self._within, self._look)

    def end(self, error: Exception) -> None:
        """Close the connection, and tell everyone who waits for an answer."""
        if self.usable:
            self._transport.abort()
        self._fail(error)

    def data_received(self, data: bytes) -> None:
        """Hand out the answers in it."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                self._take(answer)
        except (RedisError, IndexError) as error:  # what it says cannot be read, or nobody asked for it
            self.end(error)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits, and the protocol that was here before, whose close may be waited for."""
        self._fail(error or RedisConnectionError("closed by the server"))
        self._before.connection_lost(error)

    def _fail(self, error: Exception) -> None:
        sent, self._sent = self._sent, deque()
        for call in sent:
            call.fail(error)

    def _take(self, answer: Any) -> None:
        if isinstance(answer, (RedisConnectionError, ReadOnlyError)):  # as good as no answer, for everyone who waits
            raise answer
        if self._sent[0].take(answer):
            self._sent.popleft()
            self._since = self._loop.time()
        if isinstance(answer, Exception) and no_place_to_stay(answer):
            self.end(answer)

    def _look(self) -> None:
        """End the connection if the oldest answer has taken too long."""
        left = self._since + self._within - self._loop.time()
        self._timer = None
        if self._sent and left <= 0:
            self.end(TimeoutError())
        elif self._sent:
            self._timer = self._loop.call_later(left, self._look)
