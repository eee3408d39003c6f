"""How admissions gather, over a ledger that answers when it is told to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.admit import MOST_BYTES, Admitter
from gateway.errors import LedgerUnavailable, Overloaded
from gateway.ledger import Admission, Event, LedgerDown, LedgerError, LedgerFull, Rules, Verdict, new_event_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class SlowLedger:
    """Notes each call and answers it once `open` is set; what `fault` holds is raised instead."""

    def __init__(self):
        self.calls = []
        self.open = asyncio.Event()
        self.fault = None

    async def admit(self, batch):
        self.calls.append([one.event.id for one in batch])
        await self.open.wait()
        if self.fault:
            raise self.fault
        return [Verdict(outcome="accepted", event_id=one.event.id, state="queued") for one in batch]


def admission(size=2):
    event = Event(id=new_event_id(NOW), source="s", pipeline="p", received_at=NOW, body=b"x" * size)
    return Admission(event=event, rules=Rules(source="s", pipeline="p"), nonce=event.id)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def gather(count, *, size=2, **bounds):
    """Admit one event, then `count` more while its call is in flight; give the calls and the verdicts."""

    async def run():
        ledger = SlowLedger()
        admitter = Admitter(ledger, **bounds)
        tasks = [asyncio.create_task(admitter.admit(admission()))]
        await settle()
        tasks += [asyncio.create_task(admitter.admit(admission(size))) for _ in range(count)]
        await settle()
        ledger.open.set()
        return ledger.calls, await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(run())


def test_what_arrives_during_a_call_gathers_into_the_next():
    calls, verdicts = gather(10)
    assert [len(call) for call in calls] == [1, 10]
    assert [verdict.event_id for verdict in verdicts] == [one for call in calls for one in call]


def test_a_burst_departs_in_parts_and_a_call_carries_at_most_64_events():
    assert [len(call) for call in gather(130)[0]] == [1, 64, 64, 2]


def test_a_call_carries_at_most_a_mebibyte_of_bodies_and_at_least_one():
    assert [len(call) for call in gather(5, size=MOST_BYTES // 2)[0]] == [1, 2, 2, 1]
    assert [len(call) for call in gather(2, size=2 * MOST_BYTES)[0]] == [1, 1, 1]


def test_too_many_waiting_are_refused():
    _, verdicts = gather(7, most_waiting=5)
    assert [type(verdict) for verdict in verdicts] == [Verdict] * 6 + [Overloaded] * 2


def test_too_many_bytes_waiting_are_refused():
    _, verdicts = gather(4, size=100, most_waiting_bytes=250)
    assert [type(verdict) for verdict in verdicts] == [Verdict] * 3 + [Overloaded] * 2


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (LedgerDown("x"), LedgerUnavailable),
        (LedgerError("x"), LedgerUnavailable),
        (LedgerFull("x"), Overloaded),
        (KeyError("x"), KeyError),
    ],
)
def test_a_fault_is_told_to_all_and_ends_with_its_call(fault, told):
    async def run():
        ledger = SlowLedger()
        ledger.fault = fault
        ledger.open.set()
        admitter = Admitter(ledger)
        failed = await asyncio.gather(*(admitter.admit(admission()) for _ in range(3)), return_exceptions=True)
        ledger.fault = None
        return failed, await admitter.admit(admission())

    failed, after = asyncio.run(run())
    assert [type(one) for one in failed] == [told] * 3
    assert after.outcome == "accepted"


def test_whoever_gave_up_waiting_is_not_admitted_afterwards():
    async def run():
        ledger = SlowLedger()
        admitter = Admitter(ledger, deadline=timedelta(milliseconds=20))
        answers = await asyncio.gather(*(admitter.admit(admission()) for _ in range(2)), return_exceptions=True)
        late = asyncio.create_task(admitter.admit(admission()))
        await asyncio.sleep(0.03)
        ledger.open.set()
        await admitter.close()
        return ledger.calls, [*answers, *await asyncio.gather(late, return_exceptions=True)]

    calls, answers = asyncio.run(run())
    assert [type(one) for one in answers] == [LedgerUnavailable] * 3
    assert [len(call) for call in calls] == [2]
