"""Has the ledger's figures pushed by OTLP: at each interval by one of all gateways, for all read the same."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.ledger import LedgerError
from gateway.ledger.gauges import measure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.ledger import Ledger
    from otel.figures import Figures

EARLY = 0.9  # of an interval, after which another gateway may have its turn: the next look finds it free
LAST = timedelta(seconds=1)  # that an end waits for what is being read

log = logging.getLogger("hookmill.gateway")


@asynccontextmanager
async def pushing(ledger: Ledger, figures: Figures | None) -> AsyncIterator[None]:
    """Push figures while the block lasts, if there is anything to push them by."""
    stop = asyncio.Event()
    task = asyncio.create_task(_push(ledger, figures, stop)) if figures else None
    try:
        yield
    finally:
        stop.set()  # a command to Redis that is cancelled may end as one that failed
        if task is not None:
            await asyncio.wait([task], timeout=LAST.total_seconds())


async def _push(ledger: Ledger, figures: Figures, stop: asyncio.Event) -> None:
    """Read and push, in turn with other gateways; while Redis is away, nothing is pushed."""
    while not await _is_set(stop, within=figures.every):
        try:
            if await ledger.take_turn("figures", EARLY * figures.every):
                figures.push(await measure(ledger))
        except LedgerError as error:
            log.warning("the ledger's figures are not pushed: %s", error)


async def _is_set(stop: asyncio.Event, *, within: timedelta) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            await stop.wait()
    return stop.is_set()
