"""Answers in pieces, through LiteLLM's own clients: whole, with their tokens told, or found to be cut."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes import model_server as say
from fakes.models import candidate

from actors.llm import Question, provider
from actors.llm.classify import classify, flaw
from actors.llm.streaming import Cut
from actors.llm.taken import take

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("prepared"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),  # LiteLLM does, of each piece
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),  # and this, of its own types
]
SECOND = timedelta(seconds=1)
HELLO = [{"role": "user", "content": "hello there"}]
LONG = "It was a dark and stormy night; the rain fell in torrents."
SCHEMA = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}
PRICED = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.01}


@pytest.fixture(params=["openai", "anthropic", "ollama_chat"])
def streamed(fake, request):
    return candidate(fake, "m", model=f"{request.param}/m", params=PRICED)


async def call(candidate, told, *, schema=None):
    return await provider.call(candidate, HELLO, schema=schema, timeout=5 * SECOND, told=told)


async def test_a_long_answer_tells_how_much_of_it_there_is_and_is_the_same_as_a_whole_one(fake, streamed):
    fake.default = say.says(LONG)
    told = []
    reply = await call(streamed, told.append)
    assert fake.calls[0].streams
    assert (reply.text, reply.finish_reason, reply.input_tokens, reply.output_tokens) == (LONG, "stop", 10, 5)
    assert (reply.cost_usd, reply.priced) == (pytest.approx(0.06), True)
    assert told == sorted(told)
    assert (told[0], told[-1], len(told)) == (1, 15, 15)


async def test_nobody_is_sent_pieces_who_does_not_want_to_hear_of_them(fake, streamed):
    fake.default = say.says(LONG)
    assert (await call(streamed, None)).text == LONG
    assert not fake.calls[0].streams


async def test_tokens_that_a_stream_does_not_tell_are_estimated_and_flagged(fake, streamed):
    fake.default = say.says(LONG, usage=False)
    reply = await call(streamed, lambda _: None)
    assert (reply.input_tokens, reply.output_tokens, reply.priced) == (3, 15, False)
    assert reply.cost_usd == pytest.approx(0.153)


async def test_an_answer_to_a_schema_comes_in_pieces_too(fake, streamed):
    fake.default = say.says({"mood": "good"})
    assert (await call(streamed, lambda _: None, schema=SCHEMA)).text == '{"mood": "good"}'


async def test_one_that_was_cut_for_its_length_says_so(fake, streamed):
    fake.default = say.says(LONG, finish="length")
    assert flaw(await call(streamed, lambda _: None)).name == "length"


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_stream_that_ends_in_the_middle_is_no_answer_and_may_have_cost_something(fake, streamed, breaks):
    fake.default = replace(say.says(LONG), cut=5, breaks=breaks)
    taken = await take(provider.call, streamed, HELLO, Question(alias="m", prompt="", told=print), within=5 * SECOND)
    assert (taken.trouble.kind, taken.value, taken.cost) == ("transient", None, None)


async def test_no_choice_is_malformed(fake):
    fake.default = say.no_choices()
    assert flaw(await call(candidate(fake, "m"), lambda _: None)).kind == "malformed"


@pytest.mark.parametrize(("fault", "kind"), [(say.status(429), "rate_limited"), (say.status(500), "transient")])
async def test_an_error_in_place_of_a_stream_is_classified_as_ever(fake, streamed, fault, kind):
    fake.default = fault
    with pytest.raises(Exception, match="scripted fault") as raised:
        await call(streamed, lambda _: None)
    trouble = classify(raised.value, now=datetime.now(UTC))
    assert (trouble.kind, trouble.refused) == (kind, True)


async def test_a_stream_that_drips_is_left_at_the_deadline(fake, streamed):
    fake.default = replace(say.says(LONG), drip=0.3)
    told, began = [], time.monotonic()
    question = Question(alias="m", prompt="", told=told.append)
    taken = await take(provider.call, streamed, HELLO, question, within=1.5 * SECOND)
    assert (taken.trouble.name, bool(told)) == ("TimeoutError", True)
    assert time.monotonic() - began < 3


async def test_a_cancelled_ask_lets_go_of_its_stream(fake):
    fake.default = replace(say.says(LONG), drip=0.05)
    heard = asyncio.Event()
    asking = asyncio.ensure_future(call(candidate(fake, "m"), lambda _: heard.set()))
    await asyncio.wait_for(heard.wait(), 5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_gemini_is_asked_for_the_whole_because_nobody_could_tell_that_its_stream_was_cut(fake):
    fake.default = say.says(LONG)
    assert (await call(candidate(fake, "m", model="gemini/m"), lambda _: None)).text == LONG
    assert not fake.calls[0].streams


def test_a_cut_stream_is_transient():
    assert classify(Cut(), now=datetime.now(UTC)).kind == "transient"
