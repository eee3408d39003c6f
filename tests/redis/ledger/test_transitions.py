"""What each verb leaves behind, exactly: the view of the work, the schedule, the lanes, the counts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gateway.ledger import Beat, NewDelivery, Retention, new_delivery_id, open_ledger
from gateway.ledger.keys import key
from gateway.ledger.ledger import LEASE, MOST_LIVES

pytestmark = pytest.mark.anyio
TOOK = '{"name": "redact", "took": 0.1, "at": 1}'
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DAY = 86_400


def delivery(work, sink="n8n", *, generation=0, concurrency=8):
    return NewDelivery(
        id=new_delivery_id(work.id, sink, generation), sink=sink, concurrency=concurrency, timeout=3 * MINUTE
    )


async def told(ledger, work_id):
    """The view of a work as plain values, without its times and what never changes."""
    view = (await ledger.show(work_id)).json()
    times = {"received_at", "updated_at", "due_at", "lease_until", "repeated_at", "kept_until"}
    fixed = {"id", "event_id", "kind", "source", "pipeline", "sink", "trace_id", "size", "deliveries", "owner"}
    return {name: value for name, value in view.items() if name not in times | fixed and value not in ("", [], 0)}


async def later(ledger, work_id):
    """When it was last changed; what comes now has another time."""
    moment = (await ledger.show(work_id)).updated_at
    await asyncio.sleep(0.003)
    return moment


async def counted(ledger):
    return (await ledger.stats()).counts


async def lane(ledger, name="normal"):
    return [one.decode() for one in await ledger.redis.lrange(key("lane", name), 0, -1)]


async def expire(ledger, work_id):
    """Let its lease, or its wake-up, be over now."""
    await ledger.redis.zadd(key("due"), {work_id: 1})


def near(duration, wanted, *, within=0.002):
    return abs((duration - wanted).total_seconds()) <= within


async def test_a_run_that_begins_is_owned_for_one_lease(ledger, admission):
    (verdict,) = await ledger.admit([admission(timeout=7 * MINUTE)])
    before = await later(ledger, verdict.event_id)
    work = (await ledger.begin(verdict.event_id, fence="here-1/f", lease=MINUTE)).work
    assert (work.kind, work.attempts, work.lives, work.time_left) == ("run", 0, 1, 7 * MINUTE)
    view = await ledger.show(work.id)
    assert (view.state, view.owner, view.lives, view.due_at) == ("running", "here-1", 1, None)
    assert view.updated_at > before
    assert near(view.lease_until - view.updated_at, MINUTE)
    assert near((await ledger.sweep("tests")).next_due, MINUTE, within=5)


async def test_a_renewal_is_one_lease_from_now(ledger, begun):
    work = await begun()
    await expire(ledger, work.id)
    assert await ledger.renew([Beat(id=work.id, fence=work.fence, step="s", reason="r")], lease=MINUTE) == [True]
    assert near((await ledger.sweep("tests")).next_due, MINUTE, within=5)
    assert await told(ledger, work.id) == {"state": "running", "lives": 1, "step": "s", "reason": "r", "result": None}


async def test_a_renewal_reaches_one_lease_past_the_deadline_at_most(ledger, begun):
    work = await begun(timeout=timedelta(milliseconds=1))
    await asyncio.sleep(0.2)
    assert await ledger.renew([Beat(id=work.id, fence=work.fence)], lease=MINUTE) == [True]
    assert MINUTE / 2 < (await ledger.sweep("tests")).next_due < MINUTE - timedelta(seconds=0.15)


async def test_a_waiting_run_belongs_to_nobody_and_says_what_for(ledger, begun):
    work = await begun()
    before = await later(ledger, work.id)
    assert await ledger.postpone(work, MINUTE, reason="503", error_class="transient", counted=True, step="label")
    view = await ledger.show(work.id)
    assert await told(ledger, work.id) == {
        "state": "waiting", "attempts": 1, "step": "label", "reason": "503", "error_class": "transient", "result": None,
    }  # fmt: skip
    assert view.updated_at > before
    assert near(view.due_at - view.updated_at, MINUTE)
    assert await ledger.renew([Beat(id=work.id, fence=work.fence)]) == [False]
    assert not await ledger.postpone(work, MINUTE, reason="again")
    assert (await ledger.sweep("tests")).woken == 0


async def test_a_run_that_waited_begins_without_the_time_it_waited_for(ledger, begun):
    work = await begun()
    await ledger.postpone(work, timedelta(0), reason="503")
    before = await later(ledger, work.id)
    assert (await ledger.sweep("tests")).woken == 1
    woken = await ledger.show(work.id)
    assert woken.state == "queued"
    assert woken.updated_at > before
    await ledger.begin(work.id, fence="again")
    assert (await ledger.show(work.id)).due_at is None


async def test_a_checkpoint_is_progress(ledger, begun):
    work = await begun()
    before = await later(ledger, work.id)
    assert await ledger.checkpoint(work, "redact", output=b"1", took=TOOK, total=3) == "ok"
    view = await ledger.show(work.id)
    assert view.updated_at > before
    assert (view.state, view.steps_total, [step.name for step in view.steps]) == ("running", 3, ["redact"])


async def test_a_finished_run_and_its_deliveries_know_of_each_other(ledger, begun):
    work = await begun()
    await ledger.postpone(work, timedelta(0), reason="503", error_class="transient", counted=True, step="label")
    await ledger.sweep("tests")
    work = (await ledger.begin(work.id, fence="again")).work
    before = await later(ledger, work.id)
    assert await ledger.finish(work, "done", result=b"7", reason="for a reason", deliveries=[delivery(work)])
    view = await ledger.show(work.id)
    assert view.updated_at > before
    assert await told(ledger, work.id) == {
        "state": "done", "attempts": 1, "lives": 1, "reason": "for a reason", "result": 7,
    }  # fmt: skip
    (one,) = view.deliveries
    assert (one.id, one.kind, one.event_id, one.sink) == (delivery(work).id, "delivery", work.id, "n8n")
    assert (one.source, one.pipeline, one.trace_id, one.generation) == ("blog", "triage", "a" * 32, 0)
    assert one.received_at == one.updated_at == view.updated_at
    groups = {group.name: (group.cap, group.active, group.backlog) for group in (await ledger.stats()).groups}
    assert groups == {"source:blog": (20, 0, 0), "sink:n8n": (8, 1, 0)}
    assert await lane(ledger, "deliveries") == [one.id]
    sent = (await ledger.begin(one.id, fence="d")).work
    assert (sent.kind, sent.time_left, sent.sink, sent.result) == ("delivery", 3 * MINUTE, "n8n", b"7")
    assert await ledger.finish(sent, "delivered", result=b'{"status": 200}')
    assert await counted(ledger) == {"accepted": 1, "done": 1, "delivered": 1}


async def test_only_who_ended_a_run_may_say_so_again(ledger, begun):
    work, other = await begun(), await begun()
    assert await ledger.finish(work, "done")
    assert await ledger.finish(work, "done")
    await expire(ledger, other.id)
    await ledger.begin(other.id, fence="second")
    assert not await ledger.finish(other, "done")
    assert not await ledger.bury(other, reason="late", error_class="transient")
    assert (await ledger.show(other.id)).state == "running"
    assert not await ledger.bury(work, reason="late", error_class="transient"), "it is done, not dead"


async def test_a_run_whose_workers_die_says_so_and_stays_as_long_as_a_dead_letter(ledger, begun):
    work = await begun()
    for life in range(MOST_LIVES - 1):
        await expire(ledger, work.id)
        await ledger.begin(work.id, fence=f"life {life}")
    await expire(ledger, work.id)
    before = await later(ledger, work.id)
    assert (await ledger.begin(work.id, fence="last")).outcome == "dead"
    view = await ledger.show(work.id)
    assert (view.state, view.reason, view.error_class, view.lives) == (
        "dead", "its worker died 5 times", "crash", MOST_LIVES,
    )  # fmt: skip
    assert view.updated_at > before
    assert 29 * DAY < await ledger.redis.ttl(key("event", work.id)) <= 30 * DAY
    assert (await ledger.sweep("tests")).next_due is None
    assert (await counted(ledger))["dead"] == 1


@pytest.mark.parametrize("counts", [True, False])
async def test_a_buried_run_tells_where_and_whether_that_was_an_attempt(ledger, begun, counts):
    work = await begun()
    assert await ledger.bury(work, reason="401", error_class="permanent", step="label", counted=counts)
    view = await told(ledger, work.id)
    attempts = {"attempts": 1} if counts else {}
    expected = {"state": "dead", "lives": 1, "step": "label", "reason": "401", "error_class": "permanent"}
    assert view == expected | attempts | {"result": None}
    assert 29 * DAY < await ledger.redis.ttl(key("work", work.id)) <= 30 * DAY
    assert (await ledger.sweep("tests")).next_due is None
    assert await counted(ledger) == {"accepted": 1, "dead": 1}


async def test_a_discarded_letter_stays_as_long_as_what_is_finished(redis_url, ledger, begun):
    work = await begun()
    await ledger.bury(work, reason="bad", error_class="permanent")
    before = await later(ledger, work.id)
    short = await open_ledger(redis_url, retention=Retention(keep=timedelta(hours=2), keep_dead=timedelta(days=9)))
    assert await short.discard(work.id)
    view = await short.show(work.id)
    assert view.state == "discarded"
    assert view.updated_at > before
    assert 7000 < await short.redis.ttl(key("event", work.id)) <= 7200
    assert (await counted(short))["discarded"] == 1
    assert not await short.discard("evt_nothing")
    await short.close()


async def test_a_discarded_delivery_lets_its_run_go(ledger, begun):
    work = await begun()
    await ledger.finish(work, "done", deliveries=[delivery(work)])
    sent = (await ledger.begin(delivery(work).id, fence="d")).work
    await ledger.bury(sent, reason="410", error_class="permanent")
    assert await ledger.redis.ttl(key("event", work.id)) > 29 * DAY
    assert await ledger.discard(sent.id)
    for name in (key("event", work.id), key("work", work.id), key("work", sent.id)):
        assert 0 < await ledger.redis.ttl(name) <= DAY


async def test_a_discarded_letter_does_not_shorten_the_life_of_another_of_its_event(ledger, begun):
    work = await begun()
    one, other = delivery(work), delivery(work, "archive")
    await ledger.finish(work, "done", deliveries=[one, other])
    for each in (one, other):
        await ledger.bury((await ledger.begin(each.id, fence="d")).work, reason="410", error_class="permanent")
    assert await ledger.discard(one.id)
    names = [key("event", work.id), key("work", work.id), key("work", other.id)]
    assert all([29 * DAY < await ledger.redis.ttl(name) <= 30 * DAY for name in names])
    assert await ledger.discard(other.id)
    assert all([0 < await ledger.redis.ttl(name) <= DAY for name in names])


async def test_one_dead_delivery_keeps_the_others_and_the_run_as_long(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b"1", took=TOOK)
    one, other = delivery(work), delivery(work, "archive")
    await ledger.finish(work, "done", deliveries=[one, other])
    await ledger.bury((await ledger.begin(one.id, fence="d")).work, reason="410", error_class="permanent")
    assert await ledger.redis.ttl(key("event", work.id)) == -1, "the other delivery is not over"
    await ledger.finish((await ledger.begin(other.id, fence="d")).work, "delivered")
    names = [
        key("event", work.id),
        key("work", work.id),
        key("steps", work.id),
        *(key("work", d.id) for d in (one, other)),
    ]
    assert all([29 * DAY < await ledger.redis.ttl(name) <= 30 * DAY for name in names])
    assert not await ledger.redis.exists(key("checkpoints", work.id))


async def test_a_paused_run_whose_worker_died_goes_back_before_what_is_new(ledger, admission):
    first, second = await ledger.admit([admission(concurrency=1) for _ in range(2)])
    old = (await ledger.begin(first.event_id, fence="old")).work
    await ledger.redis.delete(key("lane", "normal"))
    await expire(ledger, old.id)
    before = await later(ledger, old.id)
    assert await ledger.pause("source", "blog")
    assert not await ledger.pause("source", "blog")
    assert (await ledger.begin(old.id, fence="new")).outcome == "paused"
    view = await ledger.show(old.id)
    assert (view.state, view.lives) == ("queued", 1)
    assert view.updated_at > before
    assert await ledger.renew([Beat(id=old.id, fence="old")]) == [False]
    assert (await ledger.sweep("tests")).next_due is None
    assert await lane(ledger) == []
    assert await ledger.resume("source", "blog")
    assert not await ledger.resume("source", "blog")
    assert await lane(ledger) == [old.id]
    assert (await ledger.begin(second.event_id, fence="f")).outcome == "waiting"
    assert (await ledger.begin(old.id, fence="new")).outcome == "start"


async def test_a_source_that_is_paused_admits_but_begins_nothing(ledger, admission):
    await ledger.pause("pipeline", "triage")
    verdicts = await ledger.admit([admission(concurrency=3) for _ in range(4)])
    (other,) = await ledger.admit([admission(pipeline="other", source="other")])
    assert await lane(ledger) == [other.event_id]
    await ledger.resume("pipeline", "triage")
    assert (await lane(ledger))[1:] == [verdict.event_id for verdict in verdicts[:3]]


async def test_what_is_woken_beyond_the_cap_waits_in_the_backlog_until_there_is_room(ledger, admission):
    first, second = await ledger.admit([admission(concurrency=1) for _ in range(2)])
    work = (await ledger.begin(first.event_id, fence="f")).work
    await ledger.postpone(work, timedelta(0), reason="503")
    await ledger.begin(second.event_id, fence="g")
    await ledger.redis.delete(key("lane", "normal"))
    assert (await ledger.sweep("tests")).woken == 1
    assert await lane(ledger) == []
    again = await ledger.sweep("tests")
    assert (again.woken, again.recovered) == (0, 0)
    assert again.next_due > 5 * SECOND, "only the lease of the other one is to be looked at"


async def test_what_is_gone_takes_no_place_of_its_group(ledger, admission):
    (verdict,) = await ledger.admit([admission(concurrency=1)])
    await ledger.redis.rpush(key("backlog", "source:blog"), "evt_gone")
    work = (await ledger.begin(verdict.event_id, fence="f")).work
    await ledger.redis.delete(key("lane", "normal"))
    await ledger.finish(work, "done")
    assert await lane(ledger) == []
    (following,) = await ledger.admit([admission(concurrency=1)])
    assert await lane(ledger) == [following.event_id]


async def test_a_wake_up_is_looked_at_again_after_ten_seconds(ledger, admission):
    (verdict,) = await ledger.admit([admission()])
    assert near((await ledger.sweep("tests")).next_due, LEASE, within=3)
    await expire(ledger, verdict.event_id)
    await ledger.sweep("tests")
    assert near((await ledger.sweep("tests")).next_due, LEASE, within=3)


async def test_a_replayed_letter_is_as_new_and_its_last_owner_is_none(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b"1", took=TOOK, total=2)
    await ledger.bury(work, reason="401", error_class="permanent")
    before = await later(ledger, work.id)
    await ledger.redis.delete(key("lane", "normal"))
    assert await ledger.replay(work.id) == "queued"
    assert (await told(ledger, work.id)).keys() == {"state", "steps", "steps_total", "result"}
    view = await ledger.show(work.id)
    assert (view.state, view.attempts, view.lives) == ("queued", 0, 0)
    assert view.updated_at > before
    assert not await ledger.finish(work, "done"), "its fence is void"
    names = [key(kind, work.id) for kind in ("work", "event", "checkpoints", "steps")]
    assert [await ledger.redis.ttl(name) for name in names] == [-1] * 4
    assert await lane(ledger) == [work.id]
    assert (await counted(ledger))["replayed"] == 1
    assert await ledger.dead() == []


async def test_a_replay_from_scratch_forgets_all_but_the_event(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b"x" * 1000, took=TOOK, total=2)
    await ledger.finish(work, "done", result=b"7", deliveries=[delivery(work)])
    assert await ledger.replay(work.id, scratch=True) == "queued"
    view = await ledger.show(work.id)
    assert (view.generation, view.result, view.steps, view.deliveries) == (1, None, (), ())
    again = (await ledger.begin(work.id, fence="again")).work
    eight = b"x" * 8 * 1024 * 1024
    assert await ledger.checkpoint(again, "redact", output=eight, took=TOOK) == "ok", "its bytes are counted anew"
    assert await ledger.finish(again, "done")
    assert 0 < await ledger.redis.ttl(key("event", work.id)) <= DAY, "deliveries of before do not hold it"


async def test_a_replayed_delivery_keeps_its_run_until_it_is_over(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b"1", took=TOOK)
    await ledger.finish(work, "done", result=b"7", deliveries=[delivery(work)])
    sent = (await ledger.begin(delivery(work).id, fence="d")).work
    await ledger.finish(sent, "delivered")
    await ledger.redis.delete(key("lane", "deliveries"))
    assert await ledger.replay(sent.id) == "queued"
    names = [key("event", work.id), key("work", work.id), key("steps", work.id), key("work", sent.id)]
    assert [await ledger.redis.ttl(name) for name in names] == [-1] * 4
    assert await lane(ledger, "deliveries") == [sent.id]
    again = (await ledger.begin(sent.id, fence="e")).work
    assert again.result == b"7"
    await ledger.finish(again, "delivered")
    assert all([0 < await ledger.redis.ttl(name) <= DAY for name in names])


async def test_of_a_finished_event_only_what_is_over_is_delivered_again(ledger, begun):
    work = await begun()
    one, other = delivery(work), delivery(work, "archive")
    await ledger.finish(work, "done", deliveries=[one, other])
    assert await ledger.replay(work.id) == "busy"
    await ledger.finish((await ledger.begin(one.id, fence="d")).work, "delivered")
    await ledger.redis.delete(key("lane", "deliveries"))
    assert await ledger.replay(work.id) == "queued"
    assert await lane(ledger, "deliveries") == [one.id]
    for each in (one, other):
        assert await ledger.redis.ttl(key("event", work.id)) == -1
        await ledger.finish((await ledger.begin(each.id, fence="e")).work, "delivered")
    names = [key("event", work.id), key("work", work.id)]
    assert all([await ledger.redis.ttl(name) > 0 for name in names])
    assert await ledger.replay(work.id) == "queued"
    assert [await ledger.redis.ttl(name) for name in names] == [-1, -1]


async def test_a_discarded_run_is_worked_again_by_a_replay(ledger, begun):
    work = await begun()
    await ledger.finish(work, "discarded", reason="spam")
    assert await ledger.replay(work.id) == "queued"
    assert (await ledger.begin(work.id, fence="again")).outcome == "start"


async def test_a_replay_tells_when_the_event_itself_is_gone(ledger, begun):
    work = await begun()
    await ledger.finish(work, "done", deliveries=[delivery(work)])
    sent = (await ledger.begin(delivery(work).id, fence="d")).work
    await ledger.finish(sent, "delivered")
    await ledger.redis.delete(key("event", work.id))
    assert await ledger.replay(work.id) == await ledger.replay(sent.id) == "gone"


async def test_a_waiting_run_that_is_replayed_is_due_now(ledger, begun):
    work = await begun()
    await ledger.postpone(work, timedelta(hours=1), reason="503", counted=True)
    assert await ledger.replay(work.id) == "queued"
    assert (await ledger.show(work.id)).due_at <= (await ledger.show(work.id)).updated_at + MINUTE
    assert (await ledger.sweep("tests")).woken == 1
