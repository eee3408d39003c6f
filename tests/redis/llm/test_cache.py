"""An equal question is answered again: from what is kept, or by the ask that is under way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from fakes import model_server as say
from fakes.models import asker, candidate, models
from pydantic import BaseModel

from actors.errors import Failure
from actors.llm import Judge, Question
from actors.llm.cache import name_of
from gateway.ledger import open_ledger

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("prepared")]
HOUR = timedelta(hours=1)
JUDGES = (("polite", 4), ("polite", 5), ("brief", 4))
ONE = Question(alias="fast", prompt="How is it?", untrusted="well", cache=HOUR, version=1)


class Mood(BaseModel):
    mood: Literal["good", "bad"]


@pytest.fixture
def asking(fake, ledger):
    return asker(models(candidate(fake, "a"), candidate(fake, "b")), ledger)


async def ask(asking, question=ONE, wait=None):
    return await asking.ask(question, wait=wait, called=lambda _call: None)


async def test_an_equal_question_is_not_asked_again_and_costs_nothing(fake, ledger, asking):
    first = await ask(asking)
    again = await ask(asker(models(candidate(fake, "a"), candidate(fake, "b")), ledger))
    assert (first.calls, again.calls, len(fake.calls)) == (1, 0, 1)
    assert again == replace(first, calls=0, input_tokens=0, output_tokens=0, cost_usd=0.0)


async def test_a_typed_answer_comes_back_as_its_type(fake, asking):
    fake.default = say.says({"mood": "good"})
    answers = [await ask(asking, replace(ONE, into=Mood)) for _ in range(2)]
    assert [answer.value for answer in answers] == [Mood(mood="good")] * 2
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    "other",
    [{"prompt": "What is it?"}, {"untrusted": "ill"}, {"version": 2}, {"into": Mood}, {"links": True}, {"cache": None}],
)
async def test_any_difference_is_another_question(fake, asking, other):
    fake.default = say.says({"mood": "good"})
    await ask(asking)
    await ask(asking, replace(ONE, **other))
    assert len(fake.calls) == 2


def test_what_no_judge_has_seen_is_not_given_where_one_is_asked_for(fake):
    alias = models(candidate(fake, "a")).aliases["fast"]
    judges = [None, *(Judge(model="judge", criteria={"tone": wanted}, least=least) for wanted, least in JUDGES)]
    assert len({name_of(replace(ONE, judge=judge), alias) for judge in judges}) == len(judges)


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(fake, own_redis):
    redis = own_redis()
    ledger = await open_ledger(redis.url)
    asking = asker(models(candidate(fake, "a")), ledger)
    fake.script("a", say.says("paid", delay=0.5))
    answer = asyncio.ensure_future(ask(asking))
    while not fake.calls:  # noqa: ASYNC110 - the server runs in another thread
        await asyncio.sleep(0.01)
    redis.kill()
    assert (await asyncio.wait_for(answer, 30)).value == "paid"
    await ledger.close()


async def test_it_is_kept_for_as_long_as_was_said_and_its_key_tells_nothing(ledger, asking):
    await ask(asking)
    [name] = [one async for one in ledger.redis.scan_iter("{hookmill:1}:answers:*")]
    assert 3500 < await ledger.redis.ttl(name) <= 3600
    assert b"How is it" not in name


async def test_equal_questions_under_way_share_one_call(fake, asking):
    fake.latency = 0.2
    answers = await asyncio.gather(*(ask(asking) for _ in range(20)))
    assert (len(fake.calls), sum(answer.calls for answer in answers)) == (1, 1)


async def test_who_shares_a_call_shares_its_failure_and_nothing_is_kept(fake, asking):
    fake.latency = 0.1
    for name in "ab":
        fake.script(name, say.status(400))
    answers = await asyncio.gather(*(ask(asking) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Failure] * 3
    assert len(fake.calls) == 1
    assert (await ask(asking)).calls == 1


async def test_when_the_one_that_asks_is_suspended_another_one_asks(fake, asking):
    fake.script("a", say.hang())
    first = asyncio.ensure_future(ask(asking))
    while not fake.calls:  # noqa: ASYNC110 - the server runs in another thread
        await asyncio.sleep(0.01)
    second = asyncio.ensure_future(ask(asking))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await asyncio.wait_for(second, 5)).calls == 1
    assert len(fake.calls) == 2


async def test_a_lesser_model_s_answer_is_not_kept(fake, ledger):
    local = candidate(fake, "lexicon", model="local/lexicon", params={"api_base": None, "api_key": None})
    asking = asker(models(local), ledger)
    assert [(await ask(asking)).calls for _ in range(2)] == [1, 1]
