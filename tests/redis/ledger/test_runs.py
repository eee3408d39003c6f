"""A run has one owner at a time, and every step of it is saved once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from programs import PATIENT

from gateway.ledger import Beat, NewDelivery, new_delivery_id, open_ledger
from gateway.ledger.keys import key
from gateway.ledger.ledger import MOST_LIVES

pytestmark = pytest.mark.anyio
NOW = timedelta(0)
TOOK = '{"name": "redact", "took": 0.1, "at": 1}'


def delivery(work, sink="n8n", concurrency=8):
    return NewDelivery(
        id=new_delivery_id(work.id, sink, work.generation),
        sink=sink,
        concurrency=concurrency,
        timeout=timedelta(minutes=1),
    )


async def expire(ledger, work_id):
    """Let the lease of that work end now."""
    await ledger.redis.zadd(key("due"), {work_id: 1})


async def test_only_one_of_many_begins(redis_url, ledger, admission):
    (verdict,) = await ledger.admit([admission()])
    workers = [await open_ledger(redis_url, deadline=PATIENT) for _ in range(4)]
    begun = await asyncio.gather(*(workers[at % 4].begin(verdict.event_id, fence=str(at)) for at in range(40)))
    assert sorted(one.outcome for one in begun) == ["busy"] * 39 + ["start"]
    for worker in workers:
        await worker.close()


async def test_an_expired_lease_is_taken_over_and_the_old_owner_is_refused(ledger, begun):
    work = await begun()
    await expire(ledger, work.id)
    taken = (await ledger.begin(work.id, fence="second")).work
    assert taken.lives == 2
    assert await ledger.checkpoint(work, "redact", output=b"1", took=TOOK) == "stale"
    assert not await ledger.finish(work, "done")
    assert not await ledger.postpone(work, NOW, reason="late")
    assert not await ledger.bury(work, reason="late", error_class="transient")
    assert await ledger.renew([Beat(id=work.id, fence=work.fence), Beat(id=taken.id, fence="second")]) == [False, True]
    assert await ledger.checkpoint(taken, "redact", output=b"1", took=TOOK) == "ok"


async def test_a_renewal_wins_back_a_lease_that_just_expired(ledger, begun):
    work = await begun()
    await expire(ledger, work.id)
    sweep = await ledger.sweep("tests")
    assert (sweep.recovered, sweep.woken) == (1, 1)
    assert await ledger.renew([Beat(id=work.id, fence=work.fence, step="classify", reason="waits")]) == [True]
    view = await ledger.show(work.id)
    assert (view.state, view.step, view.reason) == ("running", "classify", "waits")
    assert (await ledger.begin(work.id, fence="second")).outcome == "busy"


async def test_a_lease_is_renewed_once_past_the_deadline_to_record_that_it_was_too_late_and_no_more(ledger, begun):
    work = await begun(timeout=timedelta(milliseconds=30))
    lease, beat = timedelta(milliseconds=60), Beat(id=work.id, fence=work.fence)
    await asyncio.sleep(0.05)
    assert await ledger.renew([beat], lease=lease) == [True]
    await asyncio.sleep(0.05)
    assert await ledger.renew([beat], lease=lease) == [False]


async def test_a_run_that_kills_its_workers_is_buried(ledger, begun):
    work = await begun()
    for life in range(2, MOST_LIVES + 1):
        await expire(ledger, work.id)
        assert (await ledger.begin(work.id, fence=str(life))).work.lives == life
    await expire(ledger, work.id)
    assert (await ledger.begin(work.id, fence="last")).outcome == "dead"
    (letter,) = await ledger.dead()
    assert (letter.id, letter.error_class) == (work.id, "crash")


async def test_waiting_in_good_order_costs_no_life(ledger, begun):
    work = await begun()
    for _ in range(MOST_LIVES + 2):
        assert await ledger.postpone(work, NOW, reason="waits for a slot")
        await ledger.sweep("tests")
        work = (await ledger.begin(work.id, fence="again")).work
    assert (work.lives, work.attempts) == (1, 0)


async def test_checkpoints_come_back_with_the_next_attempt(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b'"clean"', took=TOOK, total=2)
    await ledger.checkpoint(work, "label[a]", output=b"1", took=TOOK)
    await ledger.postpone(work, NOW, reason="503", error_class="transient", counted=True)
    await ledger.sweep("tests")
    again = (await ledger.begin(work.id, fence="again")).work
    assert again.checkpoints == {"redact": b'"clean"', "label[a]": b"1"}
    assert again.attempts == 1


async def test_a_repeated_checkpoint_is_as_one_and_a_run_has_its_cap(ledger, begun):
    work = await begun()
    megabyte = b"x" * 1024 * 1024
    for _ in range(20):
        assert await ledger.checkpoint(work, "same", output=megabyte, took=TOOK) == "ok"
    for at in range(7):
        assert await ledger.checkpoint(work, str(at), output=megabyte, took=TOOK) == "ok"
    assert await ledger.checkpoint(work, "more", output=b"x", took=TOOK) == "too_big"


async def test_finish_records_result_and_deliveries_at_once_and_twice_is_as_once(ledger, begun):
    work = await begun()
    new = [delivery(work), delivery(work, "archive")]
    assert await ledger.finish(work, "done", result=b'{"label": 1}', deliveries=new)
    assert await ledger.finish(work, "done", result=b'{"label": 1}', deliveries=new)
    view = await ledger.show(work.id)
    assert (view.state, view.result) == ("done", {"label": 1})
    assert {one.sink: one.state for one in view.deliveries} == {"n8n": "queued", "archive": "queued"}
    assert await ledger.redis.llen(key("lane", "deliveries")) == 2
    assert (await ledger.begin(work.id, fence="late")).outcome == "done"


async def test_a_finished_run_gives_its_place_to_the_next_of_its_source(ledger, admission):
    first, second = await ledger.admit([admission(concurrency=1) for _ in range(2)])
    work = (await ledger.begin(first.event_id, fence="f")).work
    assert (await ledger.begin(second.event_id, fence="f")).outcome == "waiting"
    await ledger.finish(work, "done")
    assert (await ledger.begin(second.event_id, fence="f")).outcome == "start"


async def test_what_is_finished_and_delivered_has_a_ttl_and_no_checkpoints(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b"1", took=TOOK)
    await ledger.finish(work, "done", deliveries=[delivery(work)])
    assert await ledger.redis.ttl(key("event", work.id)) == -1
    sent = (await ledger.begin(delivery(work).id, fence="d")).work
    assert (sent.event.id, sent.sink, sent.result) == (work.id, "n8n", b"null")
    assert await ledger.finish(sent, "delivered", result=b'{"status": 200}')
    names = [key("event", work.id), key("work", work.id), key("steps", work.id), key("work", sent.id)]
    assert all([0 < await ledger.redis.ttl(name) <= 24 * 3600 for name in names])
    assert not await ledger.redis.exists(key("checkpoints", work.id))


async def test_a_pause_stops_what_has_not_begun_and_a_resume_lets_it_go_on(ledger, admission):
    first, second = await ledger.admit([admission(concurrency=1) for _ in range(2)])
    await ledger.pause("source", "blog")
    assert (await ledger.begin(first.event_id, fence="f")).outcome == "paused"
    assert (await ledger.sweep("tests")).woken == 0
    assert await ledger.resume("source", "blog")
    work = (await ledger.begin(first.event_id, fence="f")).work
    await ledger.pause("pipeline", "triage")
    await ledger.finish(work, "done")
    assert (await ledger.begin(second.event_id, fence="f")).outcome == "waiting"
    await ledger.resume("pipeline", "triage")
    assert (await ledger.begin(second.event_id, fence="f")).outcome == "start"


async def test_a_run_nobody_knows_is_gone(ledger):
    assert (await ledger.begin("evt_nothing", fence="f")).outcome == "gone"
