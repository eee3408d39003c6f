"""A ledger over a real, empty Redis, and events to put into it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import pytest
from programs import PATIENT

from gateway.ledger import Admission, Event, Rules, new_event_id, open_ledger
from gateway.ledger.keys import key

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def ledger(redis_url):
    opened = await open_ledger(redis_url, deadline=PATIENT)
    yield opened
    await opened.close()


@pytest.fixture
def admission():
    """Make admissions; each is a new event of source `blog`, unless told otherwise."""
    numbers = count()

    def make(*, source="blog", pipeline="triage", body=None, **given):
        number = next(numbers)
        now = datetime.now(UTC)
        event = Event(
            id=new_event_id(now),
            source=source,
            pipeline=pipeline,
            received_at=now,
            body=body if body is not None else b'{"number": %d}' % number,
            traceparent=TRACEPARENT,
        )
        own = {"nonce": f"nonce {number}", "dedupe_id": f"id {number}", "flaw": ""}
        own |= {name: given.pop(name) for name in own.keys() & given.keys()}
        return Admission(event=event, rules=Rules(source=source, pipeline=pipeline, **given), **own)

    return make


@pytest.fixture
def begun(ledger, admission):
    """Admit an event, take its wake-up out of its lane, and begin its run."""

    async def make(**rules):
        (verdict,) = await ledger.admit([admission(**rules)])
        await ledger.redis.lrem(key("lane", "normal"), 0, verdict.event_id)
        return (await ledger.begin(verdict.event_id, fence="first")).work

    return make
