"""What is cancelled is over for everybody, its owner included; a broken record hurts no neighbour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.ledger import Beat
from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
TOOK = '{"name": "redact", "took": 0.1, "at": 1}'


async def test_a_queued_event_is_cancelled_and_its_place_given_on(ledger, admission):
    first, second = await ledger.admit([admission(concurrency=1) for _ in range(2)])
    assert await ledger.cancel(first.event_id) == "cancelled"
    view = await ledger.show(first.event_id)
    assert (view.state, view.reason) == ("discarded", "cancelled")
    assert (await ledger.begin(first.event_id, fence="f")).outcome == "done"
    assert (await ledger.begin(second.event_id, fence="f")).outcome == "start"


async def test_an_event_in_the_backlog_is_passed_over_once_it_is_cancelled(ledger, admission):
    first, second, third = await ledger.admit([admission(concurrency=1) for _ in range(3)])
    work = (await ledger.begin(first.event_id, fence="f")).work
    assert await ledger.cancel(second.event_id) == "cancelled"
    await ledger.finish(work, "done")
    assert (await ledger.begin(third.event_id, fence="f")).outcome == "start"


async def test_a_running_event_that_is_cancelled_refuses_everything_of_its_owner(ledger, begun):
    work = await begun()
    assert await ledger.cancel(work.id) == "cancelled"
    assert await ledger.checkpoint(work, "redact", output=b"1", took=TOOK) == "stale"
    assert await ledger.renew([Beat(id=work.id, fence=work.fence)]) == [False]
    assert not await ledger.finish(work, "done")
    assert not await ledger.bury(work, reason="late", error_class="transient")
    assert (await ledger.show(work.id)).state == "discarded"
    assert await ledger.redis.zscore(key("due"), work.id) is None


async def test_a_waiting_event_is_cancelled_and_can_be_replayed(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b"1", took=TOOK)
    await ledger.postpone(work, timedelta(hours=1), reason="503", error_class="transient", counted=True)
    assert await ledger.cancel(work.id) == "cancelled"
    assert await ledger.cancel(work.id) == "over"
    assert await ledger.cancel("evt_nothing") == "gone"
    assert 0 < await ledger.redis.ttl(key("event", work.id)) <= 24 * 3600
    assert await ledger.replay(work.id) == "queued"
    assert (await ledger.begin(work.id, fence="again")).outcome == "start"


@pytest.mark.parametrize("broken", ["record", "no event"])
async def test_a_run_whose_event_cannot_be_read_is_a_dead_letter_at_once(ledger, admission, broken):
    bad, good = await ledger.admit([admission(concurrency=1) for _ in range(2)])
    if broken == "record":
        await ledger.redis.hset(key("event", bad.event_id), "record", b"\xff{not json")
    else:
        await ledger.redis.delete(key("event", bad.event_id))
    assert (await ledger.begin(bad.event_id, fence="f")).outcome == "dead"
    (letter,) = await ledger.dead()
    assert (letter.id, letter.error_class, letter.attempts) == (bad.event_id, "undecodable", 0)
    assert letter.reason.startswith("its event cannot be read (")
    assert (await ledger.begin(good.event_id, fence="f")).outcome == "start", "its place went to the next"


@pytest.mark.parametrize("field", ["lives", "timeout", "group"])
async def test_a_broken_run_is_set_aside_and_the_sweep_goes_on_to_its_neighbours(ledger, admission, field):
    bad, good = await ledger.admit([admission(concurrency=2) for _ in range(2)])
    await (ledger.redis.hdel if field == "group" else ledger.redis.hset)(
        key("work", bad.event_id), *([field] if field == "group" else [field, "garbage"])
    )
    await ledger.redis.delete(key("lane", "normal"))
    await ledger.redis.zadd(key("due"), {bad.event_id: 1, good.event_id: 2})
    await ledger.sweep("tests")
    assert (await ledger.begin(bad.event_id, fence="f")).outcome in {"dead", "done"}
    assert (await ledger.begin(good.event_id, fence="f")).outcome == "start"
    (letter,) = await ledger.dead()
    assert (letter.id, letter.error_class) == (bad.event_id, "undecodable")
    assert await ledger.redis.smembers(key("active", "source:blog")) == {good.event_id.encode()}


async def test_a_run_whose_key_holds_something_else_is_dropped_from_the_schedule(ledger, admission):
    bad, good = await ledger.admit([admission(concurrency=2) for _ in range(2)])
    await ledger.redis.set(key("work", bad.event_id), "not a hash")
    await ledger.redis.zadd(key("due"), {bad.event_id: 1, good.event_id: 2})
    await ledger.sweep("tests")
    assert (await ledger.begin(good.event_id, fence="f")).outcome == "start"
    assert await ledger.redis.zscore(key("due"), bad.event_id) is None


async def test_a_due_time_is_claimed_by_one_and_noted_for_all(ledger):
    last, now = await ledger.last_due("nightly")
    assert last == now, "a schedule that is new begins now"
    due = now + timedelta(seconds=1)
    assert [await ledger.claim_due("nightly", due) for _ in range(3)] == [True, False, False]
    assert (await ledger.note_due("nightly", due))[0] == due
    assert not await ledger.claim_due("nightly", due)
    assert (await ledger.note_due("nightly", due - timedelta(seconds=9)))[0] == due, "it never goes back"
    assert await ledger.claim_due("nightly", due + timedelta(seconds=1))
    assert abs(await ledger.ping()) < timedelta(seconds=5)
    assert now <= datetime.now(UTC) + timedelta(seconds=5)


async def test_the_age_of_work_counts_from_receipt_and_anew_after_a_replay(ledger, begun):
    work = await begun()
    await ledger.redis.hincrby(key("work", work.id), "received", -3_600_000)
    await ledger.postpone(work, timedelta(0), reason="503", error_class="transient", counted=True)
    await ledger.sweep("tests")
    old = (await ledger.begin(work.id, fence="again")).work
    assert timedelta(hours=1) <= old.age < timedelta(hours=1, seconds=30)
    await ledger.bury(old, reason="503", error_class="transient")
    await ledger.replay(work.id)
    assert (await ledger.begin(work.id, fence="anew")).work.age < timedelta(seconds=30)
