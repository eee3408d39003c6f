"""Repeating what may be repeated, until Redis answers again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from gateway.ledger.errors import LedgerDown, LedgerFull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
FIRST_RETRY, LAST_RETRY = 0.05, 1.0  # seconds between tries

logger = logging.getLogger(__name__)


async def insist(call: Callable[[], Awaitable[T]], *, until: float) -> T | None:
    """Repeat a fenced call until Redis answers or the loop's clock reads `until`; None if it never did.

    The scripts it is for change nothing when they run twice; so a paid answer is held and saved after an outage, or
    when there is memory again (only a Redis 6.2 refuses a fenced call for want of it).
    """
    loop, pause = asyncio.get_running_loop(), FIRST_RETRY
    while True:
        try:
            return await call()
        except (LedgerDown, LedgerFull) as error:
            if loop.time() > until:
                logger.error("gave up: %s", error)  # noqa: TRY400 - the trace says nothing more
                return None
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_RETRY)
