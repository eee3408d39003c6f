"""Loads the Lua scripts: each is a file in `lua/`, given the key names and `shared.lua` in front of it."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.ledger.errors import LedgerDown, LedgerError, LedgerFull, ReplicasLate, refuses_writes
from gateway.ledger.keys import KEYS, key
from gateway.ledger.pipe import Pipe
from gateway.ledger.slots import ms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from gateway.ledger.event import Wait

    Run = Callable[..., Awaitable[Any]]

SHEBANG = "#!lua"
NAMES = (
    "acquire", "admit", "alert", "begin", "bury", "cancel", "checkpoint", "discard", "finish",
    "notice", "pause", "postpone", "progress", "release", "renew", "replay", "schedule", "spend", "sweep",
)  # fmt: skip

SHARED = {"acquire": ("pace",), "release": ("pace",), "alert": ("telling",), "notice": ("telling",)}
"""What scripts share beyond shared.lua."""


def render(name: str, *, shebang: bool) -> str:
    """Give the whole text of a script: shebang line (Redis >= 7), key names, shared functions, the script itself."""
    folder = files("gateway.ledger") / "lua"
    text = (folder / f"{name}.lua").read_text()
    first, _, rest = text.partition("\n")
    names = "local K = {" + ",".join(f"{kind}={value!r}" for kind, value in KEYS.items()) + "}"
    shared = [(folder / f"{one}.lua").read_text() for one in ("shared", *SHARED.get(name, ()))]
    body = "\n".join([names, *shared, rest])
    return f"{first}\n{body}" if shebang else body


class Scripts:
    """The scripts of the ledger on one Redis: call by name; a server that forgot them is given them again."""

    def __init__(self, redis: Redis, *, shebang: bool = True, wait: Wait | None = None) -> None:
        """Take the client, whether the server knows script flags (Redis >= 7), and which replicas `send` waits for."""
        self.redis = redis
        self._pipe = Pipe(redis.connection_pool)
        self.replicas = wait.replicas if wait else 0
        behind: tuple[Any, ...] = ("WAIT", wait.replicas, ms(wait.within)) if wait else ()
        self._behind = [hiredis.pack_command(behind)] if wait else []
        self.texts = {name: render(name, shebang=shebang) for name in NAMES}
        self.digests = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
                        for name, text in self.texts.items()}  # fmt: skip

    async def __call__(self, name: str, *arguments: Any) -> Any:
        """Run a script; raises LedgerDown, LedgerFull or LedgerError."""
        return await self._run(self._plainly, name, arguments)

    def send(self, name: str, *arguments: Any) -> Awaitable[Any]:
        """Send a script's call now, before anyone waits; what is given must be awaited, and raises the same.

        Where replicas are waited for, it raises LedgerDown unless so many have what the script wrote, too.
        """
        return self._run(self._kept, name, arguments)

    async def close(self) -> None:
        """Close what `send` uses."""
        await self._pipe.close()

    def _plainly(self, *words: Any) -> Awaitable[Any]:
        return self._answered(self._pipe.send(hiredis.pack_command(words)))

    def _kept(self, *words: Any) -> Awaitable[Any]:
        return self._answered(self._pipe.send(hiredis.pack_command(words), *self._behind))

    async def _answered(self, sent: Awaitable[list[Any]]) -> Any:
        """Give the answer; that of WAIT, if it comes behind it, is how many replicas have all that came before."""
        answers = await sent
        for one in answers:
            if isinstance(one, Exception):
                raise one
        if answers[1:] and answers[1] < self.replicas:
            raise ReplicasLate(f"{answers[1]} of {self.replicas} replicas had it in time")
        return answers[0]

    def _run(self, run: Run, name: str, arguments: tuple[Any, ...]) -> Awaitable[Any]:
        sent = run("EVALSHA", self.digests[name], 1, key("due"), *arguments)
        return self._answer(run, name, arguments, sent)

    async def _answer(self, run: Run, name: str, arguments: tuple[Any, ...], sent: Awaitable[Any]) -> Any:
        try:
            return await self._knowing(run, name, arguments, sent)
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise LedgerDown(f"Redis did not answer ({type(error).__name__})") from error
        except OutOfMemoryError as error:
            raise LedgerFull("Redis is out of memory") from error
        except ResponseError as error:
            if refuses_writes(error):
                raise LedgerDown(f"Redis takes no writes ({str(error).partition(' ')[0]})") from error
            if "OOM" in str(error):  # Redis 6.2 says so from inside the script, which has written nothing yet
                raise LedgerFull("Redis is out of memory") from error
            raise LedgerError(f"script {name}: {error}") from error

    async def _knowing(self, run: Run, name: str, arguments: tuple[Any, ...], sent: Awaitable[Any]) -> Any:
        try:
            return await sent
        except NoScriptError:  # a restarted or failed-over server; nothing ran
            return await run("EVAL", self.texts[name], 1, key("due"), *arguments)
