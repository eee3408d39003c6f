"""Each provider that models.yaml shows, asked through LiteLLM's own client for it: answers, usage, and every fault."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes import model_server as say
from fakes.dialects import DIALECTS
from programs import ROOT

from actors.llm import output, provider
from actors.llm.classify import classify, flaw
from gateway.config import load_models

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("prepared")]
SECOND = timedelta(seconds=1)
HELLO = [{"role": "system", "content": "You are one step."}, {"role": "user", "content": "hello there"}]
SCHEMA = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}
EXAMPLES = {"openai": "gpt-mini", "anthropic": "haiku", "gemini": "flash", "ollama_chat": "llama"}


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The candidates that models.yaml only mentions, by their provider."""
    text = re.sub(r"(?m)^#(?=  )", "", (ROOT / "models.yaml").read_text(encoding="utf-8"))
    path = tmp_path_factory.mktemp("models") / "models.yaml"
    path.write_text(text, encoding="utf-8")
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GEMINI_API_KEY_2")
    aliases = load_models(path, {name: f"key of {name}" for name in names}).aliases
    found = {kind: aliases[name].candidates[0] for kind, name in EXAMPLES.items()}
    assert {kind: one.model.partition("/")[0] for kind, one in found.items()} == {kind: kind for kind in found}
    return found


@pytest.fixture(params=DIALECTS)
def example(examples, fake, request):
    """One of them, at the fake; it is the candidate of models.yaml but for its place."""
    candidate = examples[request.param]
    return replace(candidate, params=dict(candidate.params) | {"api_base": fake.base(request.param)})


async def call(candidate, *, schema=None, within=5 * SECOND):
    return await provider.call(candidate, HELLO, schema=schema, timeout=within)


async def trouble(candidate, *, within=5 * SECOND):
    try:
        return flaw(await call(candidate, within=within))
    except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is to be classified
        return classify(error, now=datetime.now(UTC))


async def test_an_answer_comes_with_its_usage_and_the_key_went_with_the_call(fake, example):
    reply = await call(example)
    assert (reply.text, reply.finish_reason) == ("fine", "stop")
    assert (reply.input_tokens, reply.output_tokens) == (10, 5)
    [asked] = fake.calls
    assert asked.model == example.model.partition("/")[2]
    assert asked.key == example.params.get("api_key", "")
    assert "hello there" in json.dumps(asked.body)


async def test_hosted_models_have_a_price_and_one_s_own_has_none(example):
    reply = await call(example)
    own = example.model.startswith("ollama")
    assert (reply.cost_usd > 0, reply.priced) == (not own, True)


async def test_missing_usage_is_estimated_never_nothing(fake, example):
    """LiteLLM cannot read an answer of Gemini's without it, and estimates Ollama's itself, which costs nothing."""
    fake.script(example.model.partition("/")[2], say.says("twelve chars", usage=False))
    if example.model.startswith("gemini"):
        assert (await trouble(example)).kind == "transient"
        return
    reply = await call(example)
    assert reply.input_tokens > 0
    assert reply.output_tokens > 0
    assert reply.priced == (reply.cost_usd == 0), "what is estimated and costs something is flagged"


async def test_the_schema_reaches_the_provider_in_its_own_words_and_the_answer_fits(fake, example):
    fake.default = say.says({"mood": "good"})
    reply = await call(example, schema=SCHEMA)
    assert output.read(reply.text, into=dict) == {"mood": "good"}
    assert '"mood"' in json.dumps(fake.calls[0].body)


FAULTS = {
    "500": (say.status(500), "transient"),
    "503": (say.status(503), "transient"),
    "overloaded": (say.overloaded(), "transient"),
    "429": (say.status(429), "rate_limited"),
    "429 with Retry-After": (say.status(429, retry_after="7"), "rate_limited"),
    "bad key": (say.bad_key(), "key"),
    "401": (say.status(401), "key"),
    "403": (say.status(403), "key"),
    "404": (say.status(404), "key"),
    "400": (say.status(400), "request"),
    "too long": (say.too_long(), "context"),
    "hang": (say.hang(), "transient"),
    "malformed JSON": (say.broken_json(), "transient"),
    "HTML": (say.html(), "transient"),
    "HTML 502": (say.html(502), "transient"),
    "length": (say.says("half an ans", finish="length"), "bad_output"),
    "blank": (say.says(" "), "malformed"),
    "no choices": (say.no_choices(), "malformed"),
}


@pytest.mark.parametrize(("reply", "kind"), FAULTS.values(), ids=FAULTS)
async def test_each_fault_is_of_its_kind_and_is_not_retried(fake, example, reply, kind):
    fake.script(example.model.partition("/")[2], reply)
    found = await trouble(example, within=SECOND * 0.5)
    assert found.kind == kind
    assert len(fake.calls) == 1


@pytest.mark.parametrize(("name", "kind"), [("quota", "key"), ("refused", "policy")])
async def test_what_only_some_providers_say_is_of_its_kind(fake, examples, name, kind):
    asked = 0
    for prefix, candidate in examples.items():
        if getattr(DIALECTS[prefix].words, name) is None:
            continue
        fake.script(candidate.model.partition("/")[2], getattr(say, name)())
        there = replace(candidate, params=dict(candidate.params) | {"api_base": fake.base(prefix)})
        assert (await trouble(there)).kind == kind, prefix
        asked += 1
    assert len(fake.calls) == asked > 1


async def test_a_drip_ends_with_the_caller_s_own_time(fake, example):
    fake.script(example.model.partition("/")[2], say.drip(every=0.05))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await call(example, within=SECOND * 0.5)
