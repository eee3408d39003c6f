"""What the ledger promises, shown on its twin in memory and on the scripts alike."""

from __future__ import annotations

from datetime import timedelta

import pytest
from twin import Twin, open_real

from gateway.ledger import Beat, Limit, NewDelivery, new_delivery_id
from gateway.ledger.ledger import LEASE, MOST_LIVES

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)
TOOK = '{"name": "redact", "took": 0.1, "at": 1}'


@pytest.fixture(params=["twin", "real"])
async def kept(request, redis_url):
    if request.param == "twin":
        yield Twin()
        return
    opened = await open_real(redis_url)
    yield opened
    await opened.close()


@pytest.fixture
def begun(kept, admission):
    async def make(**rules):
        (verdict,) = await kept.admit([admission(**rules)])
        await kept.take("normal")
        return (await kept.begin(verdict.event_id, fence="first")).work

    return make


def delivery(work, sink="n8n"):
    new = new_delivery_id(work.id, sink, work.generation)
    return NewDelivery(id=new, sink=sink, concurrency=1, timeout=timedelta(minutes=1))


def state(kept, work_id):
    return kept.look().works[work_id].state


async def test_an_equal_event_is_a_duplicate_until_its_id_is_forgotten(kept, admission):
    rules = {"dedupe_id": "same", "dedupe_ttl": timedelta(days=7)}
    (first,), (again,) = [await kept.admit([admission(**rules)]) for _ in range(2)]
    assert (again.outcome, again.event_id) == ("duplicate", first.event_id)
    await kept.pass_time(timedelta(days=7))
    (later,) = await kept.admit([admission(**rules)])
    assert later.outcome == "accepted"


async def test_another_body_under_an_idempotency_key_is_a_conflict(kept, admission):
    verdicts = await kept.admit([admission(dedupe_id="key", idempotent=True) for _ in range(2)])
    assert [verdict.outcome for verdict in verdicts] == ["accepted", "conflict"]


async def test_a_budget_fills_up_again_with_time(kept, admission):
    limit = Limit(count=1, period=SECOND, burst=2)
    verdicts = await kept.admit([admission(limit=limit) for _ in range(3)])
    assert [(one.outcome, one.remaining) for one in verdicts] == [("accepted", 1), ("accepted", 0), ("limited", 0)]
    assert verdicts[2].retry_after == 1.0
    await kept.pass_time(SECOND)
    assert (await kept.admit([admission(limit=limit)]))[0].outcome == "accepted"


async def test_a_full_backlog_refuses_and_says_when_to_come_again(kept, admission):
    verdicts = await kept.admit([admission(concurrency=1, max_backlog=1) for _ in range(3)])
    assert [verdict.outcome for verdict in verdicts] == ["accepted", "accepted", "full"]
    assert verdicts[2].retry_after == 1.0


async def test_the_cap_holds_the_rest_back_in_order(kept, admission):
    ids = [verdict.event_id for verdict in await kept.admit([admission(concurrency=2) for _ in range(4)])]
    assert kept.look().lanes["normal"] == tuple(ids[:2])
    assert kept.look().backlog["source:blog"] == tuple(ids[2:])


async def test_a_silent_owner_is_taken_over_and_its_fence_is_stale(kept, begun):
    work = await begun()
    assert (await kept.begin(work.id, fence="second")).outcome == "busy"
    await kept.pass_time(LEASE)
    taken = (await kept.begin(work.id, fence="second")).work
    assert taken.lives == 2
    assert await kept.checkpoint(work, "redact", output=b"1", took=TOOK) == "stale"
    assert not await kept.finish(work, "done")
    assert await kept.renew([Beat(id=work.id, fence="first"), Beat(id=work.id, fence="second")]) == [False, True]


async def test_a_renewed_lease_is_not_taken_over(kept, begun):
    work = await begun()
    await kept.pass_time(LEASE - SECOND)
    assert await kept.renew([Beat(id=work.id, fence="first")]) == [True]
    await kept.pass_time(2 * SECOND)
    assert (await kept.begin(work.id, fence="second")).outcome == "busy"


async def test_a_run_that_kills_its_workers_is_buried(kept, begun):
    work = await begun()
    for _ in range(MOST_LIVES - 1):
        await kept.pass_time(LEASE)
        assert (await kept.begin(work.id, fence="next")).outcome == "start"
    await kept.pass_time(LEASE)
    assert (await kept.begin(work.id, fence="next")).outcome == "dead"
    assert kept.look().works[work.id].error_class == "crash"


async def test_a_lost_wake_up_is_given_again_by_the_sweep(kept, admission):
    (verdict,) = await kept.admit([admission()])
    await kept.take("normal")
    await kept.sweep("tests")
    for _ in range(3):
        await kept.pass_time(4 * SECOND)
        await kept.sweep("tests")
    assert kept.look().lanes["normal"] == (verdict.event_id,)


async def test_after_an_outage_leases_are_extended_first(kept, begun):
    work = await begun()
    await kept.sweep("tests")
    await kept.pass_time(2 * LEASE)
    sweep = await kept.sweep("tests")
    assert (sweep.extended, sweep.recovered) == (1, 0)
    assert state(kept, work.id) == "running"


async def test_a_wait_ends_when_it_is_due_and_costs_no_life(kept, begun):
    work = await begun()
    await kept.postpone(work, 5 * SECOND, reason="503", error_class="transient", counted=True)
    assert (await kept.sweep("tests")).next_due == 5 * SECOND
    await kept.pass_time(5 * SECOND)
    assert (await kept.sweep("tests")).woken == 1
    again = (await kept.begin(work.id, fence="again")).work
    assert (again.attempts, again.lives) == (1, 1)


async def test_a_run_and_its_deliveries_end_together(kept, begun):
    work = await begun()
    await kept.checkpoint(work, "redact", output=b"1", took=TOOK)
    assert await kept.finish(work, "done", result=b"7", deliveries=[delivery(work)])
    assert not kept.look().works[work.id].keeps
    sent = (await kept.begin(delivery(work).id, fence="d")).work
    assert (sent.result, sent.checkpoints) == (b"7", {"redact": TOOK.encode()})
    assert await kept.finish(sent, "delivered")
    assert {one.keeps for one in kept.look().works.values()} == {"a day"}


async def test_only_a_replay_brings_back_what_is_over(kept, begun):
    work = await begun()
    await kept.checkpoint(work, "redact", output=b"1", took=TOOK)
    await kept.bury(work, reason="401", error_class="permanent")
    assert (await kept.begin(work.id, fence="second")).outcome == "done"
    assert await kept.replay(work.id) == "queued"
    assert (await kept.begin(work.id, fence="second")).work.checkpoints == {"redact": b"1"}
    assert await kept.replay(work.id) == "busy"


async def test_what_is_paused_does_not_begin_until_it_is_resumed(kept, admission):
    (verdict,) = await kept.admit([admission()])
    await kept.pause("pipeline", "triage")
    assert (await kept.begin(verdict.event_id, fence="f")).outcome == "paused"
    assert await kept.resume("pipeline", "triage")
    assert (await kept.begin(verdict.event_id, fence="f")).outcome == "start"
