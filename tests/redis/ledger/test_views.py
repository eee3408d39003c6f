"""What ops and the status page are shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.ledger import (
    CircuitRule,
    Ended,
    Filter,
    LedgerDown,
    LedgerError,
    NewDelivery,
    Way,
    new_delivery_id,
    open_ledger,
)

pytestmark = pytest.mark.anyio


async def test_show_tells_steps_in_order_with_their_models(ledger, begun):
    work = await begun()
    rows = [
        {"name": "classify", "took": 2.0, "at": 20.0, "model": "gpt", "candidate": "mini", "calls": 2, "cost_usd": 0.1},
        {"name": "redact", "took": 0.5, "at": 10.0},
    ]
    for row in rows:
        await ledger.checkpoint(work, row["name"], output=b"1", took=json.dumps(row), total=2)
    view = await ledger.show(work.id)
    assert [step.name for step in view.steps] == ["redact", "classify"]
    assert (view.steps[1].model, view.steps[1].calls, view.steps_total) == ("gpt", 2, 2)
    assert view.trace_id == "a" * 32
    assert view.lease_until > datetime.now(UTC)


async def test_a_view_is_plain_json_without_the_body(ledger, begun):
    work = await begun(body=b'{"secret": "canary"}')
    new = NewDelivery(id=new_delivery_id(work.id, "n8n", 0), sink="n8n", concurrency=1, timeout=timedelta(seconds=30))
    await ledger.finish(work, "done", result=b'{"a": [1]}', deliveries=[new])
    text = json.dumps((await ledger.show(work.id)).json())
    assert "canary" not in text
    (delivery,) = json.loads(text)["deliveries"]
    assert (delivery["sink"], delivery["trace_id"]) == ("n8n", "a" * 32)


async def test_events_are_listed_newest_first_and_filtered_and_paged(ledger, admission):
    verdicts = await ledger.admit([admission(source="a" if at % 2 else "b") for at in range(6)])
    newest = [verdict.event_id for verdict in verdicts][::-1]
    listed = [view.id for view in await ledger.events()]
    assert sorted(listed) == sorted(newest)
    assert listed[2:] == [view.id for view in await ledger.events(before=listed[1])]
    assert {view.source for view in await ledger.events(wanted=Filter(source="a"))} == {"a"}
    assert await ledger.events(wanted=Filter(state="done")) == []


async def test_tail_goes_on_after_the_last_seen(ledger, admission):
    (first,) = await ledger.admit([admission()])
    assert [view.id for view in await ledger.tail("")] == [first.event_id]
    assert await ledger.tail(first.event_id) == []
    (second,) = await ledger.admit([admission()])
    assert [view.id for view in await ledger.tail(first.event_id)] == [second.event_id]


async def test_stats_count_lanes_groups_and_outcomes(ledger, admission):
    await ledger.admit([admission(concurrency=2, lane="low") for _ in range(5)])
    await ledger.pause("source", "blog")
    stats = await ledger.stats()
    assert stats.lanes == {"high": 0, "normal": 0, "low": 2, "deliveries": 0}
    (group,) = stats.groups
    assert (group.name, group.cap, group.active, group.backlog, group.paused) == ("source:blog", 2, 2, 3, True)
    assert stats.counts["accepted"] == 5
    assert stats.json()["paused"] == ("source:blog",)


async def test_a_token_is_known_until_it_expires_or_is_revoked(ledger):
    now = datetime.now(UTC)
    await ledger.put_token("d1", name="ci", scopes=("read",), expires=now + timedelta(minutes=1))
    await ledger.put_token("d2", name="ops", scopes=("read", "admin"))
    assert await ledger.token("d1", now=now) == ("read",)
    assert await ledger.token("d1", now=now + timedelta(minutes=2)) is None
    assert await ledger.token("other", now=now) is None
    assert sorted(token["name"] for token in await ledger.tokens()) == ["ci", "ops"]
    assert await ledger.drop_token("ops") == 1
    assert await ledger.token("d2", now=now) is None


async def test_an_unreachable_redis_is_one_clear_line_without_the_password(free_port):
    with pytest.raises(LedgerDown) as error:
        await open_ledger(f"redis://:hunter2@127.0.0.1:{free_port}/0")
    assert str(error.value).startswith(f"no Redis answers at 127.0.0.1:{free_port}/0")
    assert "hunter2" not in str(error.value)


async def test_a_url_that_is_none_is_named():
    with pytest.raises(LedgerError, match="HOOKMILL_REDIS_URL"):
        await open_ledger("localhost:6379")


async def test_a_password_in_the_query_of_a_url_stays_out_of_the_error_too(free_port):
    with pytest.raises(LedgerDown) as error:
        await open_ledger(f"redis://127.0.0.1:{free_port}/0?password=hunter2")
    assert "hunter2" not in str(error.value)


async def test_stats_show_the_calls_and_the_circuit_of_each_candidate(ledger):
    rule = CircuitRule(failures=1, open_for=timedelta(seconds=30))
    way = Way(name="gpt", pool="gpts", concurrent=2, calls=9, tokens=999, circuit=rule)
    for token in ("a", "b", "c"):
        await ledger.slots.acquire(way, token=token, lease=timedelta(seconds=5), tokens=100)
    for token, outcome, rest in (("a", "failed", 0), ("b", "limited", 20), ("b", "out", 40)):
        await ledger.slots.release(way, token=token, ended=Ended(outcome=outcome, rest=timedelta(seconds=rest)))
    (view,) = (await ledger.stats()).candidates
    assert (view.name, view.in_flight, view.waiting, view.opened) == ("gpt", 0, 1, 1)
    assert (view.calls, view.tokens) == (2, 200)
    assert (28 < view.open_for <= 30, 18 < view.rests_for <= 20, 38 < view.out_for <= 40) == (True, True, True)
