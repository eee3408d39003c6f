"""Asking under a budget: a paid model, which a server plays, and what the books say of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from fakes import model_server as say
from fakes.models import SECONDS, asker, candidate, models

from actors.llm import Question
from actors.llm.purse import Budgets
from gateway.config import Budget

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("prepared")]
DEAR = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.001, "max_tokens": 100}
"""A call costs 0.1 at most, and 0.005 by what the server tells."""


class Waited(Exception):  # noqa: N818 - no fault
    """What the tests do instead of waiting for tomorrow."""


async def wait(after, reason):
    raise Waited(after, reason)


@pytest.fixture
def ask():
    async def ask(asking, *, source="blog"):
        question = Question(alias="fast", prompt="How is it?", source=source, pipeline="mood")
        return await asking.ask(question, wait=wait, called=lambda _call: None)

    return ask


async def book(ledger):
    return await ledger.book(datetime.now(UTC).strftime("%Y-%m-%d"))


def dear(fake, name="dear", **over):
    return candidate(fake, name, params=DEAR, **over)


async def test_what_a_call_cost_is_booked_on_its_source_pipeline_and_model(fake, ask, ledger):
    asking = asker(models(dear(fake)), ledger)
    for _ in range(3):
        await ask(asking)
    cost = pytest.approx(0.015)
    assert await book(ledger) == {"all": cost, "source blog": cost, "pipeline mood": cost, "model dear": cost}
    assert await ledger.book(datetime.now(UTC).strftime("%Y-%m")) == await book(ledger)


async def test_a_spent_budget_asks_whom_it_has_room_for(fake, ask, ledger):
    budgets = Budgets(all=Budget(day=0.1))
    asking = asker(models(dear(fake), candidate(fake, "free")), ledger, budgets)
    answers = [(await ask(asking)).candidate for _ in range(3)]
    assert answers == ["dear", "free", "free"], "0.005 are spent, and the next call could cost 0.1"
    assert (await book(ledger))["all"] == pytest.approx(0.005)


async def test_or_it_waits_until_there_is_a_budget_again(fake, ask, ledger):
    budgets = Budgets(sources={"blog": Budget(day=0.1, when_spent="wait")})
    asking = asker(models(dear(fake), candidate(fake, "free")), ledger, budgets)
    await ask(asking)
    with pytest.raises(Waited) as waited:
        await ask(asking)
    after, reason = waited.value.args
    assert timedelta(0) < after <= timedelta(days=1, seconds=10)
    assert reason == "model fast: dear: the budget of the day of source blog is spent"
    assert (await ask(asking, source="shop")).candidate == "dear", "another source has its own"
    assert fake.asked("free") == []


async def test_who_waits_for_a_budget_holds_no_slot_and_no_place_in_the_minute(fake, ask, ledger):
    asking = asker(models(dear(fake, max_concurrent=1, rpm=2)), ledger, Budgets(all=Budget(day=0.1)))
    await ask(asking)
    for _ in range(3):
        with pytest.raises(Waited):
            await ask(asking)
    (view,) = await ledger.candidates()
    assert (view.in_flight, view.calls) == (0, 1)


async def test_calls_at_once_never_exceed_a_budget_whatever_the_number_of_workers(fake, ask, ledger):
    fake.default, fake.latency = say.says("x" * 10), 0.05
    configured = models(dear(fake))
    workers = [asker(configured, ledger, Budgets(all=Budget(day=1.0))) for _ in range(4)]
    answers = await asyncio.gather(*(ask(workers[at % 4]) for at in range(60)), return_exceptions=True)
    answered = [one for one in answers if not isinstance(one, Waited)]
    assert 10 <= len(answered) == len(fake.calls) <= 60
    assert fake.most <= 10, "no more than ten, of which each could cost a tenth, at once"
    spent = await book(ledger)
    assert spent["all"] == pytest.approx(0.005 * len(answered))
    assert spent["held all"] == pytest.approx(0)


@pytest.mark.parametrize(
    ("fault", "held"),
    [(say.status(500), 0.0), (say.status(429), 0.0), (say.bad_key(), 0.0), (say.hang(), 0.1), (say.html(), 0.1)],
)
async def test_what_a_failed_call_may_have_cost_stays_reserved_and_what_was_refused_does_not(
    fake, ask, ledger, fault, held
):
    fake.script("dear", fault)
    limit = SECONDS * (0.3 if fault.delay else 5)
    asking = asker(models(dear(fake, timeout=limit), candidate(fake, "free")), ledger, Budgets(all=Budget(day=1.0)))
    assert (await ask(asking)).candidate == "free"
    assert (await book(ledger)).get("held all", 0) == pytest.approx(held)


async def test_an_answer_without_usage_is_booked_at_an_estimate(fake, ask, ledger):
    fake.default = say.says("y" * 400, usage=False)
    await ask(asker(models(dear(fake)), ledger))
    assert (await book(ledger))["all"] == pytest.approx(0.1), "a hundred tokens of four letters"


async def test_somebody_is_told_when_a_budget_is_nearly_spent_and_when_a_key_is_no_good(fake, ask, ledger):
    told = []
    asking = asker(models(dear(fake), candidate(fake, "free")), ledger, Budgets(all=Budget(day=0.11)), told)
    await ask(asking)
    assert told == [("budget", "all day", {"period": "day", "limit_usd": 0.11, "spent_or_reserved": "80% or more"})]
    fake.script("free", say.bad_key())
    with pytest.raises(Exception, match="free: permanent"):
        await ask(asker(models(candidate(fake, "free")), ledger, told=told))
    kind, about, notice = told[1]
    assert (kind, about, notice["again_in_s"]) == ("model_key", "free", 300)
    assert "sk-fake" not in str(notice)
