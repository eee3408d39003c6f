"""Dead letters keep what they need to be replayed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.ledger import NewDelivery, new_delivery_id
from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
TOOK = '{"name": "redact", "took": 0.1, "at": 1}'


def delivery(work, generation=0):
    return NewDelivery(
        id=new_delivery_id(work.id, "n8n", generation), sink="n8n", concurrency=8, timeout=timedelta(minutes=1)
    )


@pytest.fixture
def buried(ledger, begun):
    async def make():
        work = await begun()
        await ledger.checkpoint(work, "redact", output=b'"clean"', took=TOOK)
        assert await ledger.bury(work, reason="401 of gpt-mini", error_class="permanent", step="classify")
        assert await ledger.bury(work, reason="401 of gpt-mini", error_class="permanent", step="classify")
        return work

    return make


async def test_a_dead_letter_tells_why_where_and_when(ledger, buried):
    work = await buried()
    (letter,) = await ledger.dead()
    assert (letter.id, letter.state, letter.reason) == (work.id, "dead", "401 of gpt-mini")
    assert (letter.step, letter.error_class, letter.attempts) == ("classify", "permanent", 1)
    assert letter.trace_id == "a" * 32
    assert 29 * 86400 < await ledger.redis.ttl(key("checkpoints", work.id)) <= 30 * 86400


async def test_a_replay_goes_on_from_the_failed_step(ledger, buried):
    work = await buried()
    assert await ledger.replay(work.id) == "queued"
    again = (await ledger.begin(work.id, fence="again")).work
    assert again.checkpoints == {"redact": b'"clean"'}
    assert (again.generation, again.attempts, again.lives) == (0, 0, 1)
    assert await ledger.dead() == []
    assert await ledger.redis.ttl(key("event", work.id)) == -1


async def test_a_replay_from_scratch_is_a_new_generation(ledger, buried):
    work = await buried()
    assert await ledger.replay(work.id, scratch=True) == "queued"
    again = (await ledger.begin(work.id, fence="again")).work
    assert (again.checkpoints, again.generation) == ({}, 1)


async def test_a_running_or_queued_run_is_never_replayed(ledger, begun, admission):
    work = await begun()
    (queued,) = await ledger.admit([admission()])
    assert await ledger.replay(work.id) == "busy"
    assert await ledger.replay(queued.event_id, scratch=True) == "busy"


async def test_a_waiting_run_is_woken_at_once_by_a_replay(ledger, begun):
    work = await begun()
    await ledger.postpone(work, timedelta(hours=1), reason="503", counted=True)
    assert await ledger.replay(work.id) == "queued"
    assert (await ledger.sweep("tests")).woken == 1


async def test_a_finished_event_is_delivered_again_under_the_same_id(ledger, begun):
    work = await begun()
    await ledger.finish(work, "done", result=b"7", deliveries=[delivery(work)])
    sent = (await ledger.begin(delivery(work).id, fence="d")).work
    await ledger.finish(sent, "delivered")
    assert await ledger.replay(work.id) == "queued"
    assert await ledger.replay(work.id) == "busy"
    again = (await ledger.begin(delivery(work).id, fence="e")).work
    assert (again.id, again.result) == (sent.id, b"7")
    assert await ledger.finish(again, "delivered")
    assert await ledger.redis.ttl(key("event", work.id)) > 0


async def test_a_delivery_of_an_earlier_generation_does_not_settle_the_new_one(ledger, begun):
    work = await begun()
    await ledger.finish(work, "done", deliveries=[delivery(work)])
    old = (await ledger.begin(delivery(work).id, fence="old")).work
    assert await ledger.replay(work.id, scratch=True) == "queued"
    again = (await ledger.begin(work.id, fence="again")).work
    await ledger.finish(again, "done", deliveries=[delivery(work, generation=1)])
    assert not await ledger.finish(old, "delivered")
    assert await ledger.redis.ttl(key("event", work.id)) == -1
    new = (await ledger.begin(delivery(work, generation=1).id, fence="new")).work
    await ledger.finish(new, "delivered")
    assert await ledger.redis.ttl(key("event", work.id)) > 0


async def test_a_finished_event_without_sinks_has_nothing_to_repeat(ledger, begun):
    work = await begun()
    await ledger.finish(work, "done")
    assert await ledger.replay(work.id) == "nothing"
    assert await ledger.replay(work.id, scratch=True) == "queued"


async def test_a_dead_delivery_keeps_its_event_and_can_be_replayed(ledger, begun):
    work = await begun()
    await ledger.finish(work, "done", result=b"7", deliveries=[delivery(work)])
    sent = (await ledger.begin(delivery(work).id, fence="d")).work
    await ledger.bury(sent, reason="410 of n8n", error_class="permanent")
    assert await ledger.redis.ttl(key("event", work.id)) > 29 * 86400
    assert [letter.id for letter in await ledger.dead()] == [sent.id]
    assert await ledger.replay(sent.id) == "queued"
    assert (await ledger.begin(sent.id, fence="e")).work.result == b"7"


async def test_a_discarded_letter_is_off_the_list(ledger, buried):
    work = await buried()
    assert await ledger.discard(work.id)
    assert not await ledger.discard(work.id)
    assert await ledger.dead() == []
    assert 0 < await ledger.redis.ttl(key("event", work.id)) <= 86400


async def test_a_forgotten_event_cannot_be_replayed(ledger):
    assert await ledger.replay("evt_gone") == "gone"
