"""Every fault at once, in small: `make bench-models` does it with a thousand events and whole workers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from bench.models.apps.answering import PROMPT, Label
from bench.models.mix import PREFIXES, PRICES, Mix, bill
from fakes.models import SECONDS, asker, candidate, models

from actors.llm import Question, provider
from actors.llm.purse import Budgets
from gateway.config import Budget

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("prepared")]
TICKETS = 40


def line(fake):
    for name, prefix in PREFIXES.items():
        read, written = PRICES[name]
        params = {"input_cost_per_token": read, "output_cost_per_token": written, "max_tokens": 300}
        yield candidate(fake, name, model=f"{prefix}/{name}", params=params, timeout=3 * SECONDS)


async def test_all_tickets_are_answered_as_asked_and_the_books_agree(fake, ledger):
    mix = fake.default = Mix(TICKETS)
    first, *others = line(fake)
    configured = models(first, *others, larger_context=tuple(others), on_refusal=tuple(others))
    await provider.warm(configured)  # else the first calls run out of time while LiteLLM loads
    asking = asker(configured, ledger, Budgets(all=Budget(day=100.0)))

    async def wait(after, _reason):
        await asyncio.sleep(after.total_seconds())

    async def ask(number):
        question = Question(alias="fast", prompt=PROMPT.format(number=number), into=Label, source="blog")
        return await asking.ask(question, wait=wait, called=lambda _: None)

    answers = []
    for number in range(0, TICKETS, 8):
        answers += await asyncio.gather(*(ask(each) for each in range(number, number + 8)))
    assert {type(answer.value) for answer in answers} == {Label}
    assert {mix.kind(call) for call in fake.calls} > {""}, "there were faults"
    book = await ledger.book(datetime.now(UTC).strftime("%Y-%m-%d"))
    heard = bill([call for call in fake.calls if mix.heard(call)])
    assert book["all"] == pytest.approx(heard, abs=0.01)
    assert book["all"] == pytest.approx(sum(answer.cost_usd for answer in answers), abs=1e-6)
    assert bill(fake.calls) - heard <= book.get("held all", 0.0), "what never arrived stays reserved"
