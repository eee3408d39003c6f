"""Puts runs into a ledger, as the gateway does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bench.gateway.fill import BATCH, NO_BOUND, PATIENCE, new_admission

from gateway.ledger import Rules, open_ledger

BODY = b'{"number": 1}'
WEEK = timedelta(days=7)


def admit(url: str, source: str, pipeline: str, count: int, *, ttl: timedelta = WEEK) -> None:
    """Admit so many events; `ttl` is how long their ids are remembered."""
    rules = Rules(
        source=source, pipeline=pipeline, max_backlog=NO_BOUND, max_total=NO_BOUND, dedupe_ttl=ttl, nonce_ttl=ttl
    )
    asyncio.run(_admit(url, rules, count))


async def _admit(url: str, rules: Rules, count: int) -> None:
    ledger = await open_ledger(url, deadline=PATIENCE)
    for begun in range(0, count, BATCH):
        batch = [new_admission(rules, BODY) for _ in range(min(BATCH, count - begun))]
        assert {verdict.outcome for verdict in await ledger.admit(batch)} == {"accepted"}
    await ledger.close()
