"""How much of a run's long answers is there: told to the ledger at most twice a second."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gateway.ledger import LedgerError
from gateway.ledger.progress import SO_FAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.keeper import Holding
    from gateway.ledger import Ledger

EVERY = 0.5  # seconds


class SoFar:
    """The tokens of the answers under way in one run, together; `text` says how many, or is empty.

    Made and used inside the running event loop.
    """

    def __init__(self, ledger: Ledger, holding: Holding) -> None:
        """Take who is told, and what a renewal of the run's lease says, for that is how the ledger is told."""
        self._ledger, self._holding = ledger, holding
        self._tokens: dict[str, int] = {}
        self.text = ""
        self._loop = asyncio.get_running_loop()
        self._next = 0.0
        self._telling: asyncio.Task[None] | None = None

    @contextmanager
    def counting(self, token: str) -> Iterator[None]:
        """Forget an answer that is over."""
        try:
            yield
        finally:
            self._note(token, 0)

    def tell(self, token: str, tokens: int) -> None:
        """Note how much there is of one answer, and tell it unless something was told less than half a second ago."""
        self._note(token, tokens)
        idle = self._telling is None or self._telling.done()
        if idle and self._loop.time() >= self._next:
            self._next = self._loop.time() + EVERY
            self._telling = asyncio.create_task(self._tell())

    def _note(self, token: str, tokens: int) -> None:
        self._tokens[token] = tokens
        together = sum(self._tokens.values())
        self.text = f"{together:,} {SO_FAR}" if together else ""  # read by the keeper's thread

    async def _tell(self) -> None:
        """Renew the lease early; a ledger that does not answer is told next time."""
        with suppress(LedgerError):
            await self._ledger.renew([self._holding.beat()])
