"""Every verdict of an admission, whole; and what an accepted event brings with it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gateway.ledger import Limit, NewDelivery, Verdict, new_delivery_id
from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), 86_400
SHORT = timedelta(milliseconds=40)


async def counted(ledger):
    return (await ledger.stats()).counts


async def test_an_accepted_event_is_a_run_with_all_that_its_source_says(ledger, admission):
    one = admission(source="shop", pipeline="orders", body=b"12345", lane="low", concurrency=3, timeout=7 * MINUTE)
    assert await ledger.admit([one]) == [Verdict(outcome="accepted", event_id=one.event.id, state="queued")]
    view = await ledger.show(one.event.id)
    assert (view.kind, view.source, view.pipeline, view.generation, view.size) == ("run", "shop", "orders", 0, 5)
    assert (view.state, view.attempts, view.lives, view.trace_id) == ("queued", 0, 0, "a" * 32)
    assert abs(view.received_at - one.event.received_at) < timedelta(milliseconds=1)
    (group,) = (await ledger.stats()).groups
    assert (group.name, group.cap, group.active, group.backlog) == ("source:shop", 3, 1, 0)
    assert [event.id for event in await ledger.events()] == [one.event.id]
    work = (await ledger.begin(one.event.id, fence="f")).work
    assert (work.event, work.time_left) == (one.event, 7 * MINUTE)
    assert await counted(ledger) == {"accepted": 1}


async def test_a_duplicate_names_the_first_and_where_it_is(ledger, admission):
    (first,) = await ledger.admit([admission(dedupe_id="1", body=b"1")])
    again = Verdict(outcome="duplicate", event_id=first.event_id, state="queued")
    assert await ledger.admit([admission(dedupe_id="1", body=b"another")]) == [again], "its id is no idempotency key"
    await ledger.redis.delete(key("work", first.event_id))
    (gone,) = await ledger.admit([admission(dedupe_id="1", body=b"1")])
    assert gone == Verdict(outcome="duplicate", event_id=first.event_id, state="finished")
    assert not await ledger.redis.exists(key("work", first.event_id)), "it would be kept for ever"
    assert await counted(ledger) == {"accepted": 1, "duplicate": 2}


async def test_a_conflict_names_the_first_and_no_state(ledger, admission):
    (first,) = await ledger.admit([admission(dedupe_id="1", body=b"1", idempotent=True)])
    (other,) = await ledger.admit([admission(dedupe_id="1", body=b"2", idempotent=True)])
    assert other == Verdict(outcome="conflict", event_id=first.event_id)
    assert await counted(ledger) == {"accepted": 1, "conflict": 1}


async def test_a_replayed_mac_is_a_duplicate_even_where_ids_are_idempotency_keys(ledger, admission):
    rules = {"nonce": "mac", "idempotent": True}
    (first,) = await ledger.admit([admission(dedupe_id="1", body=b"1", **rules)])
    (other,) = await ledger.admit([admission(dedupe_id="2", body=b"2", **rules)])
    assert other == Verdict(outcome="duplicate", event_id=first.event_id, state="queued")
    (unnamed,) = await ledger.admit([admission(dedupe_id=None, **rules)])
    assert unnamed.event_id == first.event_id


async def test_an_id_is_known_as_long_as_its_source_says(ledger, admission):
    rules = {"dedupe_id": "1", "dedupe_ttl": SHORT}
    (first,) = await ledger.admit([admission(**rules)])
    await asyncio.sleep(0.1)
    (second,) = await ledger.admit([admission(**rules | {"dedupe_ttl": MINUTE})])
    await asyncio.sleep(0.1)
    (third,) = await ledger.admit([admission(**rules)])
    assert (first.outcome, second.outcome, third.outcome) == ("accepted", "accepted", "duplicate")


async def test_a_mac_is_known_as_long_as_its_source_says(ledger, admission):
    rules = {"dedupe_id": None, "nonce": "mac", "nonce_ttl": SHORT}
    (first,) = await ledger.admit([admission(**rules)])
    await asyncio.sleep(0.1)
    (second,) = await ledger.admit([admission(**rules | {"nonce_ttl": MINUTE})])
    await asyncio.sleep(0.1)
    (third,) = await ledger.admit([admission(**rules)])
    assert (first.outcome, second.outcome, third.outcome) == ("accepted", "accepted", "duplicate")


async def test_a_full_backlog_says_to_come_again_in_a_second(ledger, admission):
    (refused,) = await ledger.admit([admission(max_backlog=0)])
    assert refused == Verdict(outcome="full", retry_after=1.0)
    (refused,) = await ledger.admit([admission(max_total=0)])
    assert refused == Verdict(outcome="full", retry_after=1.0)
    assert await counted(ledger) == {"full": 2}


async def test_a_limited_event_says_when_the_next_one_may_come(ledger, admission):
    limit = Limit(count=2, period=2 * MINUTE, burst=3)
    verdicts = await ledger.admit([admission(limit=limit) for _ in range(5)])
    assert [(one.outcome, one.remaining) for one in verdicts] == [
        ("accepted", 2), ("accepted", 1), ("accepted", 0), ("limited", 0), ("limited", 0),
    ]  # fmt: skip
    assert [one.retry_after for one in verdicts[:3]] == [0, 0, 0]
    assert all(55 < one.retry_after <= 60 for one in verdicts[3:]), "one a minute, and a refusal costs nothing"
    assert [one.event_id for one in verdicts[3:]] == ["", ""]
    assert await counted(ledger) == {"accepted": 3, "limited": 2}


async def test_a_budget_is_the_source_s_own_and_comes_back_in_full(ledger, admission):
    limit = Limit(count=1, period=timedelta(milliseconds=100), burst=2)
    for _ in range(2):
        verdicts = await ledger.admit([admission(source="a", limit=limit) for _ in range(3)])
        assert [one.outcome for one in verdicts] == ["accepted", "accepted", "limited"]
        assert [one.remaining for one in verdicts[:2]] == [1, 0]
        await asyncio.sleep(0.3)
    (other,) = await ledger.admit([admission(source="b", limit=limit)])
    assert (other.outcome, other.remaining) == ("accepted", 1)


async def test_a_budget_may_be_thousands_a_second(ledger, admission):
    limit = Limit(count=10_000, period=timedelta(seconds=1), burst=5)
    for _ in range(3):
        (verdict,) = await ledger.admit([admission(limit=limit)])
        assert (verdict.outcome, verdict.remaining) == ("accepted", 4)
        await asyncio.sleep(0.01)


async def test_a_full_ledger_costs_no_budget(ledger, admission):
    limit = Limit(count=1, period=MINUTE, burst=1)
    (full,) = await ledger.admit([admission(limit=limit, max_backlog=0)])
    (accepted,) = await ledger.admit([admission(limit=limit)])
    assert (full.outcome, accepted.outcome) == ("full", "accepted")


async def test_a_flawed_event_is_dead_from_the_start_and_stays_as_long(ledger, admission):
    one = admission(flaw="json_invalid", concurrency=1)
    (verdict,) = await ledger.admit([one])
    assert verdict == Verdict(outcome="accepted", event_id=one.event.id, state="dead")
    view = await ledger.show(one.event.id)
    assert (view.reason, view.error_class, view.attempts, view.lives) == ("json_invalid", "permanent", 0, 0)
    assert 29 * DAY < await ledger.redis.ttl(key("event", one.event.id)) <= 30 * DAY
    assert await counted(ledger) == {"accepted": 1, "dead": 1}
    assert await ledger.redis.llen(key("lane", "normal")) == 0


async def test_deliveries_that_wait_are_no_backlog_of_events(ledger, begun, admission):
    work = await begun()
    made = [
        NewDelivery(id=new_delivery_id(work.id, "n8n", number), sink="n8n", concurrency=1, timeout=MINUTE)
        for number in range(5)
    ]
    await ledger.finish(work, "done", deliveries=made)
    (verdict,) = await ledger.admit([admission(max_total=2)])
    assert verdict.outcome == "accepted"


async def test_what_one_batch_adds_to_the_backlog_counts_for_the_rest_of_it(ledger, admission):
    verdicts = await ledger.admit([admission(source="own", concurrency=1, max_backlog=2) for _ in range(4)])
    assert [one.outcome for one in verdicts] == ["accepted", "accepted", "accepted", "full"]


async def test_what_one_batch_adds_to_the_common_backlog_counts_for_the_rest_of_it(ledger, admission):
    rules = {"concurrency": 1, "lane": "high", "max_total": 2}
    verdicts = await ledger.admit([admission(**rules) for _ in range(4)])
    assert [one.outcome for one in verdicts] == ["accepted", "accepted", "accepted", "full"]
    (other,) = await ledger.admit([admission(source="other", **rules)])
    assert other.outcome == "full", "the backlog is that of all sources"


@pytest.mark.parametrize(("cap", "most", "accepted"), [(1, 5, 2), (3, 4, 3)])
async def test_what_waited_before_a_batch_counts_once_for_it_and_not_where_a_higher_cap_lets_it_go(
    ledger, admission, cap, most, accepted
):
    await ledger.admit([admission(lane="high", concurrency=1) for _ in range(4)])  # three of them wait
    rules = {"lane": "high", "concurrency": cap, "max_total": most}
    outcomes = [one.outcome for one in await ledger.admit([admission(**rules) for _ in range(accepted + 2)])]
    assert outcomes == ["accepted"] * accepted + ["full"] * 2


async def test_a_source_takes_the_cap_and_the_lane_of_its_newest_event(ledger, admission):
    await ledger.admit([admission(concurrency=1) for _ in range(3)])
    await ledger.admit([admission(concurrency=3, lane="high", pipeline="other")])
    stats = await ledger.stats()
    assert stats.lanes == {"high": 2, "normal": 1, "low": 0, "deliveries": 0}
    (group,) = stats.groups
    assert (group.cap, group.active, group.backlog) == (3, 3, 1)
    await ledger.pause("pipeline", "other")
    assert (await ledger.stats()).groups[0].paused
