"""A receiver of webhooks on loopback that keeps what it got and answers as the test says, byte for byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


def answer(status: int, *lines: str, body: bytes = b"") -> Reply:
    """Answer with that status, those header lines and that body; the connection stays open."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *lines))

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()

    return reply


class Receiver:
    """`async with Receiver(reply) as receiver`: posts to `receiver.url` come to be in `receiver.got`."""

    def __init__(self, reply: Reply | None = None, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"):
        self.reply = reply or answer(204)
        self.got: list[Got] = []
        self.connections = 0
        self._tls, self._host = tls, host

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook/s3cret-path?token=s3cret-query"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        try:
            while True:
                self.got.append(await self._read(reader, connection))
                await self.reply(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Got:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers: dict[str, str] = {}
        for one in lines:
            name, _, value = one.partition(": ")
            assert name.lower() not in headers, f"{name} was sent twice"
            headers[name.lower()] = value
        body = await reader.readexactly(int(headers["content-length"]))
        return Got(line=line, headers=headers, body=body, connection=connection)
