"""Fills a ledger with events by its own verbs, as the gateway admits them: batches of 64, from several connections."""

from __future__ import annotations

import asyncio
import math
import secrets
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import TYPE_CHECKING

import uvloop

from gateway.ledger import Admission, Event, Ledger, Retention, Rules, new_event_id, new_traceparent, open_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 64  # what the gateway puts into one call at most
PROCESSES = 2
AT_ONCE = 2  # calls per process, so that Redis is never without work
PATIENCE = timedelta(seconds=60)
SHORT_LIVED = Retention(keep=timedelta(milliseconds=1), keep_dead=timedelta(milliseconds=1))
BRIEF, LONG = timedelta(milliseconds=1), timedelta(days=7)
SWEEPS = 50  # each drops only so many entries from the lists of what is kept
NO_BOUND = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What stays of the events: `over` ones are dead letters whose retention is over, so that only their ids stay.

    `nonce_ttl` is how long the MAC is remembered; a dedupe id stays for 7 days.
    """

    over: bool
    nonce_ttl: timedelta = LONG
    body: bytes = b'{"number": 1}'


STORED = Kind(over=False)
ID_ONLY = Kind(over=True, nonce_ttl=BRIEF)


def fill(url: str, events: int, kind: Kind) -> None:
    """Admit so many events, and wait until Redis has dropped what is over."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        parts = [pool.submit(_fill, url, events // PROCESSES, kind) for _ in range(PROCESSES)]
        for part in parts:
            part.result()
    if kind.over:
        uvloop.run(_tidy(url))


def _fill(url: str, events: int, kind: Kind) -> None:
    uvloop.run(_admit_all(url, events, kind))


async def _admit_all(url: str, events: int, kind: Kind) -> None:
    ledger = await open_ledger(url, deadline=PATIENCE, retention=SHORT_LIVED)
    whole, rest = divmod(events, BATCH)
    sizes = iter([BATCH] * whole + [rest] * (rest > 0))
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(_admit(ledger, sizes, kind))
    await ledger.close()


async def _admit(ledger: Ledger, sizes: Iterator[int], kind: Kind) -> None:
    for size in sizes:
        verdicts = await ledger.admit([_admission(kind) for _ in range(size)])
        assert {verdict.outcome for verdict in verdicts} == {"accepted"}


def _admission(kind: Kind) -> Admission:
    """Make what the gateway makes of a signed event; one with a flaw is never worked, so no worker is needed."""
    rules = Rules(
        source="blog",
        pipeline="comment-sentiment",
        nonce_ttl=kind.nonce_ttl,
        dedupe_ttl=LONG,
        max_backlog=NO_BOUND,
        max_total=NO_BOUND,
    )
    return new_admission(rules, kind.body, flaw="json_invalid" if kind.over else "")


def new_admission(rules: Rules, body: bytes, *, flaw: str = "") -> Admission:
    """Make an event of that source, as the gateway makes one that is signed by Standard Webhooks."""
    now = datetime.now(UTC)
    name, event_id = f"msg_{secrets.token_hex(9)}", new_event_id(now)
    event = Event(
        id=event_id,
        source=rules.source,
        pipeline=rules.pipeline,
        received_at=now,
        body=body,
        content_type="application/json",
        headers={"user-agent": "bench/1", "webhook-id": name, "webhook-timestamp": str(int(now.timestamp()))},
        traceparent=new_traceparent(event_id),
        source_event_id=name,
    )
    return Admission(event=event, rules=rules, nonce=secrets.token_hex(32), dedupe_id=name, flaw=flaw)


async def _tidy(url: str) -> None:
    """Do what a worker's sweep and Redis' own expiry do in time: drop what is past its retention."""
    ledger = await open_ledger(url, deadline=PATIENCE)
    async for _ in ledger.redis.scan_iter(count=1000):  # Redis drops each expired key that a scan meets
        pass
    before = math.inf
    while (used := (await ledger.redis.info("memory"))["used_memory"]) < before:
        before = used
        for _ in range(SWEEPS):
            await ledger.sweep("bench")
    await ledger.close()
