"""What the state machine found: replays and discards keep the promises about results, TTLs and the bytes of a run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.ledger import NewDelivery, new_delivery_id
from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
TOOK = '{"name": "redact", "took": 0.1, "at": 1}'
DAY = 86_400


def delivery(work, sink="n8n"):
    new = new_delivery_id(work.id, sink, work.generation)
    return NewDelivery(id=new, sink=sink, concurrency=8, timeout=timedelta(minutes=1))


async def finished(ledger, begun, *sinks, result=b"7"):
    work = await begun()
    await ledger.finish(work, "done", result=result, deliveries=[delivery(work, sink) for sink in sinks])
    return work


async def test_a_replay_from_scratch_ends_the_deliveries_it_replaces(ledger, begun):
    work = await finished(ledger, begun, "n8n", "file")
    sent = (await ledger.begin(delivery(work).id, fence="d")).work
    assert await ledger.replay(work.id, scratch=True) == "queued"
    assert not await ledger.finish(sent, "delivered"), "its fence is stale"
    late = await ledger.begin(delivery(work, "file").id, fence="e")
    assert late.outcome == "done", "the result it was to deliver is gone: it would have delivered null"
    view = await ledger.show(sent.id)
    assert (view.state, view.reason) == ("discarded", "replaced by a replay from scratch")
    assert 0 < await ledger.redis.ttl(key("work", sent.id)) <= DAY, "else it would be kept for ever"
    assert await ledger.redis.ttl(key("event", work.id)) == -1


async def test_a_replay_from_scratch_leaves_what_arrived_as_it_is(ledger, begun):
    work = await finished(ledger, begun, "n8n", "file")
    arrived = (await ledger.begin(delivery(work).id, fence="d")).work
    await ledger.finish(arrived, "delivered", reason="200")
    assert await ledger.replay(work.id, scratch=True) == "queued"
    assert [(await ledger.show(delivery(work, sink).id)).state for sink in ("n8n", "file")] == [
        "delivered",
        "discarded",
    ]
    assert (await ledger.stats()).counts["discarded"] == 1


async def test_a_replay_from_scratch_leaves_nothing_of_the_result_before_it(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "draft", output=b"1", took=TOOK)
    await ledger.finish(work, "done", result=b"7", deliveries=[delivery(work), delivery(work, "file")])
    lost = (await ledger.begin(delivery(work).id, fence="d")).work
    await ledger.bury(lost, reason="410", error_class="permanent")
    assert await ledger.replay(work.id, scratch=True) == "queued"
    left = {name.decode() for name in await ledger.redis.hkeys(key("work", work.id))}
    assert left.isdisjoint({"bytes", "result", "deliveries", "pending"})
    assert await ledger.redis.ttl(key("work", delivery(work, "file").id)) > 29 * DAY, (
        "as long as the dead one beside it"
    )


async def test_a_dead_run_that_is_replayed_from_scratch_is_no_letter_and_has_room_for_all_its_bytes_again(
    ledger, begun
):
    work = await begun()
    await ledger.checkpoint(work, "draft", output=b"1", took=TOOK)
    await ledger.bury(work, reason="401", error_class="permanent")
    assert await ledger.replay(work.id, scratch=True) == "queued"
    assert not await ledger.redis.hexists(key("work", work.id), "bytes")
    assert await ledger.redis.zcard(key("dead")) == 0


async def test_a_delivery_whose_result_was_replaced_cannot_be_replayed(ledger, begun):
    work = await finished(ledger, begun, "n8n")
    old = (await ledger.begin(delivery(work).id, fence="d")).work
    await ledger.bury(old, reason="410", error_class="permanent")
    await ledger.replay(work.id, scratch=True)
    assert await ledger.replay(old.id) == "gone"
    again = (await ledger.begin(work.id, fence="again")).work
    await ledger.finish(again, "done", deliveries=[delivery(again)])
    await ledger.finish((await ledger.begin(delivery(again).id, fence="new")).work, "delivered")
    assert await ledger.redis.ttl(key("event", work.id)) > 0, "nothing of this generation is open any more"


async def test_a_discarded_letter_does_not_shorten_the_life_of_its_sibling(ledger, begun):
    work = await finished(ledger, begun, "n8n", "file")
    for sink in ("n8n", "file"):
        lost = (await ledger.begin(delivery(work, sink).id, fence=sink)).work
        await ledger.bury(lost, reason="410", error_class="permanent")
    assert await ledger.discard(delivery(work).id)
    assert await ledger.redis.ttl(key("event", work.id)) > 29 * DAY
    assert await ledger.discard(delivery(work, "file").id)
    assert await ledger.redis.ttl(key("event", work.id)) <= DAY


async def test_saved_outputs_that_are_deleted_do_not_count_for_the_cap_of_the_run(ledger, begun):
    work = await begun()
    for number in range(3):
        assert await ledger.checkpoint(work, "draft", output=b"x" * 3 * 1024 * 1024, took=TOOK) == "ok", number
        await ledger.finish(work, "discarded", reason="spam")
        await ledger.replay(work.id)
        work = (await ledger.begin(work.id, fence=f"again {number}")).work
        assert work.checkpoints == {}


async def test_a_work_says_since_when_it_waits_and_whether_it_was_replayed(ledger, begun):
    run = await begun()
    assert (run.replayed, run.run_attempt, run.waited) == (0, 0, run.age)
    one = NewDelivery(id="dlv_" + "a" * 32, sink="n8n", concurrency=1, timeout=timedelta(minutes=1))
    await ledger.postpone(run, timedelta(0), reason="", error_class="transient", counted=True)
    await ledger.sweep("w")
    run = (await ledger.begin(run.id, fence="second")).work
    await ledger.finish(run, "done", deliveries=[one])
    delivery = (await ledger.begin(one.id, fence="d")).work
    assert (delivery.replayed, delivery.run_attempt) == (0, 2), "it was made by the second attempt"
    assert delivery.waited >= delivery.age >= timedelta(0)
    await ledger.finish(delivery, "delivered")
    assert await ledger.replay(one.id) == "queued"
    again = (await ledger.begin(one.id, fence="e")).work
    assert (again.replayed > 0, again.run_attempt) == (True, 0)
    await ledger.finish(again, "delivered")
    assert await ledger.replay(run.id, scratch=True) == "queued"
    replayed = (await ledger.begin(run.id, fence="f")).work
    assert replayed.replayed > 0
