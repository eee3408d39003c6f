"""Has the ledger's figures pushed by OTLP: at each interval by one of all gateways, for all read the same."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from gateway.ledger import LedgerError
from gateway.ledger.gauges import measure

if TYPE_CHECKING:
    from gateway.ledger import Ledger
    from otel.figures import Figures

EARLY = 0.9  # of an interval, after which another gateway may have its turn: the next look finds it free

log = logging.getLogger("hookmill.gateway")


async def push_figures(ledger: Ledger, figures: Figures) -> None:
    """Read and push, in turn with other gateways, until cancelled; while Redis is away, nothing is pushed."""
    while True:
        await asyncio.sleep(figures.every.total_seconds())
        try:
            if await ledger.take_turn("figures", EARLY * figures.every):
                figures.push(await measure(ledger))
        except LedgerError as error:
            log.warning("the ledger's figures are not pushed: %s", error)
