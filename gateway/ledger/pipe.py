"""A connection that needs not wait for one answer before the next command goes out."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

    from gateway.ledger.connection import Packed


class Pipe:
    """Sends each command within the call that gives it, and hands the answers out in order."""

    def __init__(self, pool: ConnectionPool) -> None:
        """Take where connections come from; one is taken at the first command, and kept."""
        self._pool = pool
        self._connection: Packed | None = None
        self._unsent: list[bytes] = []
        self._pending: deque[tuple[asyncio.Future[list[Any]], int]] = deque()
        self._reading: asyncio.Task[None] | None = None

    def send(self, *commands: bytes) -> asyncio.Future[list[Any]]:
        """Send packed commands, one right behind the other, over one connection.

        The future gives their answers, among them errors that Redis answered with; or raises RedisError or OSError.
        Without a connection they go out as soon as there is one. Whoever waits has to set the end of the wait: only the
        oldest answer's time is bounded here, by the socket's timeout.
        """
        answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._pending.append((answers, len(commands)))
        together = b"".join(commands)
        if not self._write(together):
            self._unsent.append(together)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        return answers

    async def close(self) -> None:
        """Close the connection; who still waits for an answer is told so."""
        if self._reading is not None:
            self._reading.cancel()
        await self._fail(RedisConnectionError("closed"))

    def _write(self, commands: bytes) -> bool:
        """Write where there is a connection; tell whether there was."""
        if self._connection is None or not self._connection.usable:
            return False
        try:
            self._connection.write(commands)
        except RedisConnectionError:
            return False
        return True

    async def _read(self) -> None:
        try:
            while self._pending:
                try:
                    connection = await self._open()
                    answers = [await _answer(connection) for _ in range(self._pending[0][1])]
                except (RedisError, OSError) as error:
                    await self._fail(error)
                else:
                    _settle(self._pending.popleft()[0], answers)
        finally:
            self._reading = None

    async def _fail(self, error: Exception) -> None:
        """Tell everyone who waits; what was not sent is not sent later, when nobody waits for it."""
        waiting, self._pending, self._unsent = self._pending, deque(), []
        await self._drop()
        for one, _ in waiting:
            _settle(one, RedisConnectionError(type(error).__name__))

    async def _open(self) -> Packed:
        """Give the connection, a new one if need be, with everything sent that waited for it."""
        if self._connection is None or (self._unsent and not self._connection.usable):
            for _ in range(len(self._pending) - len(self._unsent)):  # theirs will not come from a new one
                _settle(self._pending.popleft()[0], RedisConnectionError("the connection ended"))
            await self._drop()
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        unsent, self._unsent = self._unsent, []
        for command in unsent:
            self._connection.write(command)
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect()
            await self._pool.release(connection)


async def _answer(connection: Packed) -> Any:
    """Read one answer; an error that Redis answered with is given, not raised."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _settle(waiting: asyncio.Future[list[Any]], answers: list[Any] | RedisError) -> None:
    if waiting.done():  # whoever waited has gone
        return
    if isinstance(answers, RedisError):
        waiting.set_exception(answers)
    else:
        waiting.set_result(answers)
