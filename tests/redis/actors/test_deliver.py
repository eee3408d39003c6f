"""Deliveries keep the sink's cap, rate and circuit in the whole fleet, and waiting for these is no attempt."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fakes.webhook_receiver import Receiver, answer

from actors.alerts import alert_rules, notifier
from actors.deliver import Deliverer
from actors.keeper import Keeper
from actors.owner import Owner
from actors.sinks import open_sinks
from gateway.config import load_config
from gateway.ledger import NewDelivery, new_delivery_id, open_ledger
from gateway.ledger.keys import key
from otel.records import DeliveryAttempted

pytestmark = pytest.mark.anyio

PATIENT = timedelta(seconds=30)
ENV = {"SECRET": "whsec_" + "Q0FOQVJZ" * 4}
CONFIG = """
[sources.blog]
scheme = "standard"
secrets = ["env:SECRET"]
pipeline = "triage"

[alerts]
sink = "ops"
dead = 100

[sinks.ops]
kind = "file"
path = "ops.jsonl"

[sinks.n8n]
kind = "webhook"
url = "{url}"
secret = "env:SECRET"
allow_private = true
timeout = "5s"
retry = ["10ms", "10ms", "10ms", "1h"]
"""


@dataclass(kw_only=True)
class Fleet:
    """Workers' parts that deliver, over one ledger."""

    ledger: Any
    config: Any
    deliverers: list[Deliverer]
    told: list[Any] = field(default_factory=list)

    def reasons(self) -> list[str]:
        return [one.reason for one in self.told if isinstance(one, DeliveryAttempted)]

    async def pop(self) -> str | None:
        popped = await self.ledger.redis.lpop(key("lane", "deliveries"))
        return popped.decode() if popped else None

    async def work(self, *, within: float) -> None:
        """Deliver what there is, each worker with 8 threads, until all is over or that many seconds are."""
        until = time.monotonic() + within

        async def thread(deliverer: Deliverer) -> None:
            while time.monotonic() < until and not await self.over():
                popped = await self.pop()
                if popped is None:
                    await self.ledger.sweep("tests")
                    await asyncio.sleep(0.02)
                else:
                    await deliverer.deliver(popped)

        await asyncio.gather(*(thread(one) for one in self.deliverers for _ in range(8)))

    async def over(self) -> bool:
        counts = await self.ledger.redis.hgetall(key("counts"))
        return int(counts.get(b"delivered", 0)) + int(counts.get(b"dead", 0)) >= self.wanted

    wanted: int = 0


@pytest.fixture
def fleet(tmp_path, redis_url, admission):
    @asynccontextmanager
    async def make(url: str, more: str = "", *, events: int = 1, workers: int = 2):
        (tmp_path / "hookmill.toml").write_text(CONFIG.format(url=url) + more)
        config = load_config(tmp_path / "hookmill.toml", ENV)
        async with AsyncExitStack() as stack:
            ledgers = [await open_ledger(redis_url, deadline=PATIENT) for _ in range(workers)]
            made = Fleet(ledger=ledgers[0], config=config, deliverers=[], wanted=events)
            for number, ledger in enumerate(ledgers):
                stack.push_async_callback(ledger.close)
                keeper = Keeper(
                    lambda: open_ledger(redis_url, deadline=PATIENT), worker="w", listeners=(), died=lambda: None
                )
                sinks = open_sinks(config)
                for sink in sinks.values():
                    stack.push_async_callback(sink.aclose)
                notify = notifier(ledger, alert_rules(config))
                owner = Owner(ledger, keeper, name=f"worker-{number}")
                listeners = (made.told.append,)
                made.deliverers.append(Deliverer(owner, sinks, config, listeners, notify=notify))
            for _ in range(events):
                await finish(made.ledger, config, admission(source="blog", pipeline="triage"))
            yield made

    return make


async def finish(ledger, config, one):
    """Admit an event and end its run at once, with a delivery to n8n."""
    sink = config.sinks["n8n"]
    await ledger.admit([one])
    work = (await ledger.begin(one.event.id, fence=secrets.token_hex(4))).work
    delivery = NewDelivery(
        id=new_delivery_id(work.id, "n8n", 0), sink="n8n", concurrency=sink.concurrency, timeout=2 * sink.timeout
    )
    assert await ledger.finish(work, "done", result=b'{"label":"calm"}', deliveries=[delivery])


async def deliveries(ledger):
    found = []
    for view in await ledger.events(limit=500):
        found += (await ledger.show(view.id)).deliveries
    return [await ledger.show(one.id) for one in found]


async def test_a_result_arrives_and_its_answer_is_kept_with_the_delivery(fleet):
    reply = answer(200, "content-type: application/json", body=b'{"row":7}')
    async with Receiver(reply) as receiver, fleet(receiver.url) as made:
        await made.work(within=5)
        (view,) = await deliveries(made.ledger)
    assert (view.state, view.result) == (
        "delivered",
        {"status": 200, "detail": "HTTP 200, 9 bytes", "answer": '{"row":7}'},
    )
    assert made.reasons() == [""]


async def test_no_more_are_under_way_than_the_cap_in_the_whole_fleet(fleet):
    now = peak = 0

    async def slow(writer):
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(0.03)
        now -= 1
        await answer(204)(writer)

    async with Receiver(slow) as receiver, fleet(receiver.url, "concurrency = 3", events=24) as made:
        await made.work(within=20)
        assert await made.over()
    assert (len(receiver.got), peak) == (24, 3)


async def test_no_more_begin_within_any_period_than_the_rate_in_the_whole_fleet(fleet):
    began: deque[float] = deque()

    async def note(writer):
        began.append(time.monotonic())
        await answer(204)(writer)

    more = 'concurrency = 10\nrate = "5/500ms"'
    async with Receiver(note) as receiver, fleet(receiver.url, more, events=25) as made:
        started = time.monotonic()
        await made.work(within=20)
        took = time.monotonic() - started
        views = await deliveries(made.ledger)
    assert [view.attempts for view in views] == [0] * 25, "waiting for a turn is no attempt"
    early = [number for number, at in enumerate(sorted(began)) if at - started < number // 5 * 0.5]
    assert early == [], "five of half a second, whoever sends them"
    assert took < 8, "and no turn is left unused for long: 2 s is the least it can take"


async def test_a_rate_that_asks_for_more_than_a_moment_lets_the_delivery_wait_in_the_ledger(fleet):
    async with Receiver() as receiver, fleet(receiver.url, 'rate = "2/minute"', events=3) as made:
        await made.work(within=1)
        waiting = [view for view in await deliveries(made.ledger) if view.state == "waiting"]
    assert [(view.reason, view.attempts) for view in waiting] == [("sink n8n: its rate", 0)]
    assert 20 < (waiting[0].due_at - waiting[0].updated_at).total_seconds() <= 31
    assert len(receiver.got) == 2


async def test_an_open_circuit_keeps_everybody_away_and_costs_no_attempt(fleet):
    more = "circuit = { failures = 4, open_for = '400ms', ramp = '100ms' }"
    async with Receiver(answer(503)) as receiver, fleet(receiver.url, more, events=20) as made:
        await made.work(within=0.35)
        down, stats = len(receiver.got), await made.ledger.stats()
        receiver.reply = answer(204)
        await made.work(within=30)
        views = await deliveries(made.ledger)
    assert {view.state for view in views} == {"delivered"}
    assert down < 20, "4 failures in a row, and what was under way by then"
    assert sum(view.attempts for view in views) == down, "only what was sent is an attempt"
    assert "sink n8n: its circuit is open" in made.reasons()
    (group,) = [one for one in stats.groups if one.name == "sink:n8n"]
    assert group.left_alone.startswith("its circuit is open for ")
    assert stats.candidates == (), "a sink is not listed among the models"


async def test_what_a_receiver_asks_for_holds_for_all_that_goes_to_it(fleet):
    async with Receiver(answer(429, "retry-after: 100")) as receiver, fleet(receiver.url, events=3) as made:
        await made.deliverers[0].deliver(await made.pop())
        for _ in range(2):
            await made.deliverers[1].deliver(await made.pop())
        views = await deliveries(made.ledger)
    assert len(receiver.got) == 1
    assert sorted((view.error_class, view.attempts) for view in views) == [("", 0), ("", 0), ("rate_limited", 1)]
    assert all((view.due_at - view.updated_at).total_seconds() > 98 for view in views)


async def test_a_sink_that_is_gone_is_paused_and_somebody_is_told(fleet, caplog):
    reply = answer(410, "content-type: text/plain", body=b"this hook was deleted")
    async with Receiver(reply) as receiver, fleet(receiver.url, events=3) as made:
        await made.deliverers[0].deliver(await made.pop())
        await made.work(within=0.3)
        views, stats = await deliveries(made.ledger), await made.ledger.stats()
        notices = [view for view in await made.ledger.events() if view.source == "_alerts"]
        told = await made.ledger.show(notices[0].id)
        refused = next(view for view in views if view.attempts)
        await made.ledger.resume("sink", "n8n")
        receiver.reply = answer(204)
        made.wanted = 4  # the notice is a delivery, too
        await made.work(within=5)
        after = await deliveries(made.ledger)
    assert [one.headers["webhook-id"] for one in receiver.got[:2]].count(refused.id) == 1 or len(receiver.got) == 4
    assert stats.paused_by == {"sink:n8n": "sink n8n: HTTP 410"}
    assert refused.result == {"status": 410, "detail": "HTTP 410, 21 bytes", "answer": "this hook was deleted"}
    assert "deleted" not in caplog.text
    assert told.result == {
        "kind": "sink_gone",
        "about": "sink n8n",
        "reason": "sink n8n: HTTP 410",
        "resume": "hookmill resume sink n8n",
    }
    assert {view.state for view in after} == {"delivered"}


async def test_a_delivery_that_is_given_up_is_a_dead_letter_that_can_be_replayed(fleet):
    async with Receiver(answer(400)) as receiver, fleet(receiver.url) as made:
        await made.work(within=5)
        (letter,) = await made.ledger.dead()
        assert (letter.kind, letter.reason, letter.error_class) == ("delivery", "sink n8n: HTTP 400", "permanent")
        receiver.reply = answer(204)
        assert await made.ledger.replay(letter.id) == "queued"
        made.wanted = 2
        await made.work(within=5)
        view = await made.ledger.show(letter.id)
        first, second = receiver.got
    assert view.state == "delivered"
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == letter.id
    assert json.loads(first.body) == json.loads(second.body)


async def test_a_workflow_that_is_being_published_is_waited_for(fleet):
    async with Receiver(answer(404)) as receiver, fleet(receiver.url) as made:
        await made.work(within=0.05)
        receiver.reply = answer(204)
        await made.work(within=5)
        (view,) = await deliveries(made.ledger)
    assert view.state == "delivered"
    assert view.attempts >= 1


async def test_a_delivery_waits_where_the_ledger_cannot_say_whether_it_may_go(fleet):
    async with Receiver() as receiver, fleet(receiver.url) as made:
        await made.ledger.redis.set(key("pace", "sink:n8n"), "no hash")
        await made.deliverers[0].deliver(await made.pop())
        (view,) = await deliveries(made.ledger)
        assert (view.state, view.reason, view.attempts) == ("waiting", "the ledger did not answer", 0)
        assert receiver.got == []
