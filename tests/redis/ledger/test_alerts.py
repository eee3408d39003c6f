"""A notice about dead letters is an event of our own, delivered like any other, and never about itself."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from gateway.ledger import ALERTS, AlertRules, Filter
from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
RULES = AlertRules(sink="ops", dead=2, concurrency=1)
ABOUT = [("blog", 1), ("blog", 2), ("shop", 1)]


@pytest.fixture
def bury(ledger, begun):
    async def make(count=1):
        for _ in range(count):
            await ledger.bury(await begun(), reason="no", error_class="permanent", step="label")

    return make


async def notice(ledger):
    """Take the newest notice out of its lane, and begin its delivery."""
    (event,) = await ledger.events(wanted=Filter(source=ALERTS), limit=1)
    (delivery,) = (await ledger.show(event.id)).deliveries
    await ledger.redis.lrem(key("lane", "deliveries"), 0, delivery.id)
    return (await ledger.begin(delivery.id, fence="d")).work


async def test_below_the_threshold_nothing_is_told(ledger, bury):
    await bury()
    assert await ledger.alert(RULES) == ""
    assert await ledger.events(wanted=Filter(source=ALERTS)) == []


async def test_at_the_threshold_one_notice_goes_to_the_sink(ledger, bury):
    await bury(2)
    told = json.loads(await ledger.alert(RULES))
    assert (told["kind"], told["reason"], told["dead"], told["dead_threshold"]) == ("dead_letters", "count", 2, 2)
    assert told["newest"] == (await ledger.dead())[0].id
    assert await ledger.redis.llen(key("lane", "deliveries")) == 1
    work = await notice(ledger)
    assert (work.sink, work.event.source, json.loads(work.result)) == ("ops", ALERTS, told)
    assert await ledger.finish(work, "delivered")
    (event,) = await ledger.events(wanted=Filter(source=ALERTS))
    assert (event.state, await ledger.redis.pttl(key("work", event.id)) > 0) == ("done", True)


async def test_however_many_look_there_is_one_notice_until_repeat_is_over(ledger, bury):
    await bury(2)
    assert [bool(await ledger.alert(RULES)) for _ in range(3)] == [True, False, False]
    await ledger.redis.delete(key("alerted", "dead_letters"))
    assert await ledger.alert(RULES)
    assert len(await ledger.events(wanted=Filter(source=ALERTS))) == 2


async def test_growth_counts_what_died_of_late(ledger, bury):
    rules = AlertRules(sink="ops", new=3, within=timedelta(minutes=10))
    await bury(3)
    letters = [view.id for view in await ledger.dead()]
    await ledger.redis.zincrby(key("dead"), -700_000, letters[0])
    assert await ledger.alert(rules) == ""
    await bury()
    told = json.loads(await ledger.alert(rules))
    assert (told["reason"], told["dead"], told["new"], told["new_within_s"]) == ("growth", 4, 3, 600)


async def test_a_notice_that_cannot_be_delivered_is_no_reason_for_another(ledger, bury):
    await bury(2)
    await ledger.alert(RULES)
    work = await notice(ledger)
    assert await ledger.bury(work, reason="410", error_class="permanent")
    assert len(await ledger.dead()) == 2
    assert (await ledger.show(work.id)).state == "dead"
    assert await ledger.replay(work.id) == "queued"


async def test_a_notice_has_no_pipeline_to_work_it_from_scratch(ledger, bury):
    await bury(2)
    await ledger.alert(RULES)
    work = await notice(ledger)
    await ledger.finish(work, "delivered")
    assert await ledger.replay(work.event.id, scratch=True) == "queued"
    assert (await ledger.show(work.event.id)).state == "done"
    assert (await ledger.show(work.id)).state == "queued"


async def test_of_a_kind_about_the_same_there_is_one_notice_until_repeat_is_over(ledger):
    rules = AlertRules(sink="ops", repeat=timedelta(hours=1))
    told = [await ledger.notify(rules, "budget", about, {"spent": spent}) for about, spent in ABOUT]
    assert told == [True, False, True]
    ttl = await ledger.redis.pttl(key("alerted", "budget blog"))
    assert 3_590_000 < ttl <= 3_600_000
    await ledger.redis.delete(key("alerted", "budget blog"))
    assert await ledger.notify(rules, "budget", "blog", {"spent": 3})
    work = await notice(ledger)
    assert (work.sink, json.loads(work.result)) == ("ops", {"kind": "budget", "about": "blog", "spent": 3})
