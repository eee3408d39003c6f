"""Real LiteLLM against a real HTTP server: what comes back, and what every fault is classified as."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from fakes import model_server as say
from fakes.models import candidate
from programs import ROOT

from actors.llm import provider
from actors.llm.classify import classify, flaw
from gateway.cli.prices import has_price
from gateway.config import Candidate

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("prepared")]
SECOND = timedelta(seconds=1)
HELLO = [{"role": "user", "content": "hello there"}]
SCHEMA = {"type": "object", "properties": {"sentiment": {"enum": ["positive", "negative"]}}, "required": ["sentiment"]}


async def call(asked, *, schema=None, within=5 * SECOND):
    return await provider.call(asked, HELLO, schema=schema, timeout=within)


async def trouble(asked, *, within=5 * SECOND):
    """Call, and classify what is raised or what is wrong with the answer."""
    try:
        return flaw(await call(asked, within=within))
    except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is to be classified
        return classify(error, now=datetime.now(UTC))


async def test_a_reply_carries_text_tokens_and_price(fake):
    reply = await call(candidate(fake, "gpt-4o-mini"))
    assert (reply.text, reply.finish_reason, reply.model) == ("fine", "stop", "fake-1")
    assert (reply.input_tokens, reply.output_tokens, reply.priced, reply.degraded) == (10, 5, True, False)
    assert reply.cost_usd == pytest.approx(10 * 0.15e-6 + 5 * 0.6e-6)


async def test_an_unknown_price_is_flagged_and_costs_nothing(fake):
    reply = await call(candidate(fake, "house-model"))
    assert (reply.cost_usd, reply.priced, reply.input_tokens) == (0.0, False, 10)


async def test_missing_usage_is_estimated_priced_and_flagged(fake):
    fake.script("gpt-4o-mini", say.says("twelve chars", usage=False))
    reply = await call(candidate(fake, "gpt-4o-mini"))
    assert (reply.input_tokens, reply.output_tokens, reply.priced) == (3, 3, False)
    assert reply.cost_usd > 0


async def test_a_price_in_the_params_of_a_candidate_is_used(fake):
    prices = {"input_cost_per_token": 0.5, "output_cost_per_token": 2.0}
    reply = await call(candidate(fake, "house-model-2", params=prices))
    assert (reply.cost_usd, reply.priced) == (15.0, True)


async def test_the_schema_travels_as_response_format_and_params_may_replace_it(fake):
    await call(candidate(fake, "a"), schema=SCHEMA)
    await call(candidate(fake, "a", params={"response_format": None}), schema=SCHEMA)
    await call(candidate(fake, "a"), schema={"type": "array"})
    sent = [asked.body.get("response_format") for asked in fake.calls]
    assert sent == [{"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}, None, None]


async def test_no_model_is_given_tools(fake):
    tool = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object", "properties": {}}}}
    await call(candidate(fake, "a", params={"tools": [tool], "tool_choice": "auto"}))
    assert fake.calls[0].body.keys() == {"model", "messages"}


async def test_the_key_of_the_candidate_is_sent_and_nothing_else_is_asked_for(fake):
    await call(candidate(fake, "a", params={"rpm": 5, "weight": 2, "max_retries": 9, "num_retries": 9}))
    assert fake.calls[0].key == "sk-fake"
    assert set(fake.calls[0].body) == {"model", "messages"}


FAULTS = [
    (say.status(500), "transient"),
    (say.status(502), "transient"),
    (say.status(503), "transient"),
    (say.status(529), "transient"),
    (say.status(408), "transient"),
    (say.status(409), "transient"),
    (say.broken_json(), "transient"),
    (say.html(), "transient"),
    (say.html(502), "transient"),
    (say.Scripted(body=b'{"error":{"message":"x"}}'), "transient"),
    (say.hang(), "transient"),
    (say.status(429), "rate_limited"),
    (say.quota(), "key"),
    (say.status(401), "key"),
    (say.status(402), "key"),
    (say.status(403), "key"),
    (say.status(404), "key"),
    (say.status(400), "request"),
    (say.status(422), "request"),
    (say.too_long(), "context"),
    (say.status(413), "context"),
    (say.status(400, message="Prompt is too large for model with 32768 maximum context length"), "context"),
    (say.status(400, message="Your credit balance is too low"), "key"),
    (say.refused(), "policy"),
    (say.says("", finish="content_filter"), "policy"),
    (say.status(501), "unable"),
    (say.no_choices(), "malformed"),
    (say.says(" "), "malformed"),
    (say.says("half an ans", finish="length"), "bad_output"),
    (say.says("fine"), None),
]


@pytest.mark.parametrize(("reply", "kind"), FAULTS)
async def test_each_fault_is_of_its_kind_and_is_not_retried(fake, reply, kind):
    fake.script("gpt-4o-mini", reply)
    found = await trouble(candidate(fake, "gpt-4o-mini"), within=SECOND * 0.5)
    assert (found and found.kind) == kind
    assert len(fake.calls) == 1


async def test_a_server_that_is_not_there_is_transient(free_port, fake):
    gone = candidate(fake, "a", params={"api_base": f"http://127.0.0.1:{free_port}/v1"})
    assert (await trouble(gone)).kind == "transient"


async def test_an_unknown_provider_is_a_fault_of_the_configuration(fake):
    found = await trouble(candidate(fake, "a", model="nonsense/a"))
    assert (found.kind, found.rule.then) == ("key", "next_key")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry_after": "2"}, 2), ({"retry_after_ms": "1500"}, 1.5), ({"retry_after": "99999"}, 3600), ({}, None)],
)
async def test_retry_after_survives_litellm(fake, headers, seconds):
    fake.script("a", say.status(429, **headers))
    found = await trouble(candidate(fake, "a"))
    assert found.retry_after == (None if seconds is None else timedelta(seconds=seconds))


async def test_no_prompt_and_no_key_reaches_a_log(fake, caplog):
    caplog.set_level(logging.DEBUG)
    fake.script("a", say.status(500))
    await trouble(candidate(fake, "a"))
    await trouble(candidate(fake, "a"))
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("LiteLLM"))
    assert "hello there" not in ours
    assert "sk-fake" not in ours


async def test_no_callback_is_registered(prepared):
    assert not any([prepared.callbacks, prepared.success_callback, prepared.failure_callback, prepared.input_callback])


async def test_a_cancelled_call_leaves_the_server_alone(fake):
    fake.script("a", say.hang())
    calling = asyncio.ensure_future(call(candidate(fake, "a")))
    while not fake.calls:  # noqa: ASYNC110 - the server runs in another thread
        await asyncio.sleep(0.01)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.sleep(0.2)
    assert len(fake.calls) == 1


async def test_the_local_lexicon_needs_no_key_and_no_network(fake):
    local = candidate(fake, "lexicon", model="local/lexicon", params={"api_base": None, "api_key": None})
    messages = [{"role": "user", "content": "I love this, it is wonderful."}]
    reply = await provider.call(local, messages, schema=SCHEMA, timeout=SECOND)
    assert (reply.text, reply.model, reply.degraded) == ('{"sentiment": "positive"}', "lexicon", True)
    assert (reply.cost_usd, reply.priced, fake.calls) == (0.0, True, [])


async def test_what_the_lexicon_cannot_answer_may_be_asked_elsewhere(fake):
    local = candidate(fake, "lexicon", model="local/lexicon")
    schema = {"type": "object", "properties": {"team": {"type": "string"}}, "required": ["team"]}
    with pytest.raises(Exception, match="cannot fill the required field 'team'") as raised:
        await call(local, schema=schema)
    found = classify(raised.value, now=datetime.now(UTC))
    assert (found.kind, found.rule.then, found.rule.outcome) == ("unable", "next", "neutral")


async def test_a_local_model_that_does_not_exist_is_a_fault_of_the_configuration(fake):
    assert (await trouble(candidate(fake, "x", model="local/gpt"))).kind == "key"


FIRST_CALL = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from fakes.models import candidate, models
from fakes import model_server
from actors.llm import provider

async def first_call():
    with model_server.serve() as fake:
        asked = candidate(fake, "gpt")
        await provider.warm(models(asked))
        before, paid = set(sys.modules), len(fake.calls)
        schema = {"type": "object"}
        await provider.call(asked, [], schema=schema, timeout=timedelta(seconds=20))
        print(paid, sorted(set(sys.modules) - before))

asyncio.run(first_call())
"""


def test_the_first_call_of_a_worker_that_is_warm_loads_nothing_more():
    env = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    told = subprocess.run([sys.executable, "-c", FIRST_CALL], env=env, check=True, capture_output=True, text=True)
    assert told.stdout == "0 []\n"


def test_importing_the_package_does_not_import_litellm():
    code = "import sys, actors.llm, actors.llm.lexicon, actors.llm.local; sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LOCAL = """
import asyncio, sys
from datetime import timedelta
from fakes.models import models
from actors.llm import provider
from gateway.config import Candidate

async def call():
    local = Candidate(name="lexicon", model="local/lexicon")
    await provider.warm(models(local))
    await provider.call(local, [], schema=None, timeout=timedelta(seconds=1))
    await provider.close()
    print("litellm" in sys.modules)

asyncio.run(call())
"""


def test_a_worker_whose_models_are_all_local_imports_no_litellm():
    env = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    told = subprocess.run([sys.executable, "-c", LOCAL], env=env, check=True, capture_output=True, text=True)
    assert told.stdout == "False\n"


PRICED = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "mistral/mistral-small-latest"]
UNPRICED = ["openai/our-own", "ollama_chat/our-own"]


@pytest.mark.parametrize("model", PRICED + UNPRICED)
def test_check_finds_the_prices_that_litellm_has(model):
    one = Candidate(name="one", model=model)
    assert has_price(one) == bool(provider.price(one, 1000, 1000)) == (model in PRICED)
