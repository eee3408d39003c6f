"""Asking, with real LiteLLM, a server that misbehaves as scripted, and slots and circuits in a real Redis."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Literal

import pytest
from fakes import openai_server as say
from fakes.models import SECONDS, candidate, models
from pydantic import BaseModel

from actors.errors import Failure
from actors.llm import Asker, Question, provider
from gateway.ledger import CircuitRule
from gateway.ledger.keys import key

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("prepared")]

QUICK = CircuitRule(failures=3, window=60 * SECONDS, open_for=SECONDS * 0.3)


class Mood(BaseModel):
    mood: Literal["good", "bad"]


class Telling:
    """What an ask told on its way: its calls, and what it waited for."""

    def __init__(self):
        self.calls, self.waits = [], []

    async def wait(self, after, reason):
        self.waits.append((after, reason))
        await asyncio.sleep(after.total_seconds())


@pytest.fixture
def ask(ledger):
    """Ask the alias `fast`; everything told goes to the Telling."""
    askers = {}

    async def ask(configured, telling=None, *, alias="fast", into=None, untrusted=None, token=""):
        asker = askers.setdefault(id(configured), Asker(configured, ledger.slots, call=provider.call))
        telling = telling or Telling()
        question = Question(alias=alias, prompt="How is it?", untrusted=untrusted, into=into, token=token)
        return await asker.ask(question, wait=telling.wait, called=telling.calls.append)

    return ask


async def in_use(ledger, name):
    return await ledger.redis.zcard(key("slots", name))


async def test_the_first_candidate_that_answers_is_taken(fake, ask):
    told = Telling()
    answer = await ask(models(candidate(fake, "a"), candidate(fake, "b")), told)
    assert (answer.value, answer.candidate, answer.calls) == ("fine", "a", 1)
    assert (answer.model, answer.input_tokens, answer.output_tokens, answer.degraded) == ("fake-1", 10, 5, False)
    assert [(call.candidate, call.error_class) for call in told.calls] == [("a", None)]


FALLS_BACK = [
    (say.status(500), "transient"),
    (say.status(429, retry_after="30"), "rate_limited"),
    (say.quota(), "permanent"),
    (say.status(401), "permanent"),
    (say.too_long(), "permanent"),
    (say.no_choices(), "bad_output"),
    (say.says("ha", finish="length"), "bad_output"),
    (say.broken_json(), "transient"),
]


@pytest.mark.parametrize(("fault", "klass"), FALLS_BACK)
async def test_what_another_candidate_may_do_better_it_gets_at_once(fake, ask, fault, klass):
    fake.script("a", fault)
    told = Telling()
    began = time.monotonic()
    answer = await ask(models(candidate(fake, "a"), candidate(fake, "b")), told)
    assert (answer.candidate, answer.calls, told.waits) == ("b", 2, [])
    assert [call.error_class for call in told.calls] == [klass, None]
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "fault", [say.status(400), say.status(422), say.refused(), say.says("", finish="content_filter")]
)
async def test_a_refused_request_is_not_taken_elsewhere(fake, ask, fault):
    fake.script("a", fault)
    with pytest.raises(Failure) as failure:
        await ask(models(candidate(fake, "a"), candidate(fake, "b")))
    assert failure.value.klass == "permanent"
    assert fake.asked("b") == []


async def test_all_failed_names_each_without_content_and_takes_the_most_hopeful_class(fake, ask):
    fake.script("a", say.status(401, message="bad key sk-fake"))
    fake.script("b", say.status(429, message="private words", retry_after="7"))
    with pytest.raises(Failure) as failure:
        await ask(models(candidate(fake, "a"), candidate(fake, "b")))
    text = "model fast: a: permanent (AuthenticationError 401); b: rate_limited (RateLimitError 429)"
    assert (str(failure.value), failure.value.klass) == (text, "rate_limited")
    assert failure.value.retry_after == timedelta(seconds=7)


async def test_an_unknown_alias_is_permanent_and_suggests_the_nearest(fake, ask):
    with pytest.raises(Failure, match=r"model fats: no such alias in models.yaml; did you mean 'fast'\?") as failure:
        await ask(models(candidate(fake, "a")), alias="fats")
    assert failure.value.klass == "permanent"


async def test_a_hanging_candidate_leaves_the_next_one_its_share_of_the_deadline(fake, ask):
    fake.script("a", say.hang())
    fake.script("b", say.drip(every=0.05))
    began = time.monotonic()
    answer = await ask(models(*(candidate(fake, name) for name in "abc"), deadline=1.5 * SECONDS))
    assert answer.candidate == "c"
    assert 0.9 < time.monotonic() - began < 1.5


async def test_the_deadline_holds_when_all_hang(fake, ask):
    for name in "abc":
        fake.script(name, say.hang())
    began = time.monotonic()
    with pytest.raises(Failure) as failure:
        await ask(models(*(candidate(fake, name) for name in "abc"), deadline=0.9 * SECONDS))
    assert failure.value.klass == "transient"
    assert time.monotonic() - began < 1.4


async def test_a_candidate_s_own_timeout_is_kept(fake, ask):
    fake.script("a", say.hang())
    began = time.monotonic()
    answer = await ask(models(candidate(fake, "a", timeout=0.2 * SECONDS), candidate(fake, "b")))
    assert answer.candidate == "b"
    assert time.monotonic() - began < 0.8


async def test_a_candidate_may_be_given_more_than_one_attempt(fake, ask):
    fake.script("a", say.status(500), say.says("second"))
    answer = await ask(models(candidate(fake, "a"), candidate(fake, "b"), attempts_per_candidate=2))
    assert (answer.value, answer.candidate, answer.calls) == ("second", "a", 2)


async def test_an_answer_is_validated(fake, ask):
    fake.script("a", say.says({"mood": "good"}))
    assert (await ask(models(candidate(fake, "a")), into=Mood)).value == Mood(mood="good")


async def test_the_validator_s_words_go_back_to_the_same_candidate(fake, ask):
    fake.script("a", say.says({"mood": "so-so"}), say.says({"moody": 1}), say.says({"mood": "bad"}))
    told = Telling()
    answer = await ask(models(candidate(fake, "a"), candidate(fake, "b")), told, into=Mood)
    assert (answer.value, answer.candidate, answer.calls) == (Mood(mood="bad"), "a", 3)
    assert (answer.input_tokens, answer.output_tokens) == (30, 15)
    assert [call.error_class for call in told.calls] == ["bad_output", "bad_output", None]
    seen = fake.calls[1].body["messages"]
    assert seen[-2] == {"role": "assistant", "content": '{"mood": "so-so"}'}
    assert "Input should be 'good' or 'bad'" in seen[-1]["content"]


async def test_the_same_mistake_twice_is_enough(fake, ask):
    fake.script("a", *[say.says({"mood": "so-so"})] * 9)
    fake.script("b", say.says({"mood": "good"}))
    answer = await ask(models(candidate(fake, "a"), candidate(fake, "b")), into=Mood)
    assert (answer.candidate, len(fake.asked("a"))) == ("b", 2)


async def test_different_mistakes_are_corrected_twice_at_most(fake, ask):
    fake.script("a", say.says("{}"), say.says("[]"), say.says('{"mood":1}'), say.says({"mood": "good"}))
    with pytest.raises(Failure, match=r"a: bad_output \(does not fit the schema: literal_error\)") as failure:
        await ask(models(candidate(fake, "a")), into=Mood)
    assert (failure.value.klass, len(fake.calls)) == ("bad_output", 3)


async def test_the_local_lexicon_stands_in_when_all_providers_fail(fake, ask):
    class Verdict(BaseModel):
        sentiment: Literal["positive", "neutral", "negative"]

    fake.script("a", say.status(503))
    local = candidate(fake, "lexicon", model="local/lexicon", params={"api_base": None, "api_key": None})
    answer = await ask(models(candidate(fake, "a"), local), into=Verdict, untrusted="This is awful and broken.")
    assert (answer.value.sentiment, answer.candidate, answer.degraded) == ("negative", "lexicon", True)


async def test_an_open_circuit_is_passed_by_without_a_call(fake, ask):
    fake.script("a", *[say.status(500)] * 3)
    configured = models(candidate(fake, "a", circuit=QUICK), candidate(fake, "b"))
    answers = [await ask(configured) for _ in range(5)]
    assert {answer.candidate for answer in answers} == {"b"}
    assert (len(fake.asked("a")), answers[-1].calls) == (3, 1)


async def test_with_all_circuits_open_it_waits_for_the_probe(fake, ask):
    fake.script("a", *[say.status(500)] * 3)
    configured = models(candidate(fake, "a", circuit=QUICK), deadline=0.5 * SECONDS)
    for _ in range(3):
        with pytest.raises(Failure):
            await ask(configured)
    told = Telling()
    answer = await ask(configured, told)
    assert (answer.value, len(fake.calls)) == ("fine", 4)
    assert {reason for _, reason in told.waits} == {"model fast: circuits open"}
    assert all(after <= 0.3 * SECONDS for after, _ in told.waits)


async def test_a_useless_candidate_does_not_keep_it_from_waiting_for_a_circuit(fake, ask):
    fake.script("a", *[say.status(500)] * 3)
    first = models(candidate(fake, "a", circuit=QUICK))
    for _ in range(3):
        with pytest.raises(Failure):
            await ask(first)
    fake.script("b", say.status(401))
    told = Telling()
    answer = await ask(models(candidate(fake, "a", circuit=QUICK), candidate(fake, "b")), told)
    assert (answer.candidate, len(fake.asked("b"))) == ("a", 1)


async def test_bad_requests_and_bad_answers_open_no_circuit(fake, ask):
    fake.script("a", *[say.status(400)] * 4, *[say.says("no json")] * 8)
    configured = models(candidate(fake, "a", circuit=QUICK))
    for _ in range(8):
        with pytest.raises(Failure):
            await ask(configured, into=Mood)
    assert len(fake.calls) == 12


async def test_a_storm_of_asks_never_exceeds_the_limit_and_is_never_turned_away(fake, ask, ledger):
    fake.limit, fake.latency = 5, 0.02
    workers = [models(candidate(fake, "a", max_concurrent=5)) for _ in range(3)]
    tellings = [Telling() for _ in range(90)]
    answers = await asyncio.gather(*(ask(workers[at % 3], told) for at, told in enumerate(tellings)))
    assert len(answers) == 90
    assert (fake.most, fake.turned_away, len(fake.calls)) == (5, 0, 90)
    assert await in_use(ledger, "a") == 0
    reasons = {reason for told in tellings for _, reason in told.waits}
    assert reasons == {"model fast: waiting for a slot of a"}


async def test_slots_do_not_stay_idle_while_somebody_waits(fake, ask):
    fake.latency = 0.05
    configured = models(candidate(fake, "a", max_concurrent=2))
    await ask(configured)
    began = time.monotonic()
    await asyncio.gather(*(ask(configured) for _ in range(20)))
    assert time.monotonic() - began < 10 * 0.05 + 0.5


async def test_waiting_does_not_count_against_the_deadline(fake, ask):
    fake.latency = 0.2
    configured = models(candidate(fake, "a", max_concurrent=1), deadline=0.4 * SECONDS)
    answers = await asyncio.gather(*(ask(configured) for _ in range(6)))
    assert [answer.value for answer in answers] == ["fine"] * 6


async def test_a_cancelled_ask_gives_its_slot_back_and_tells_of_its_call(fake, ask, ledger):
    fake.script("a", say.hang())
    told = Telling()
    configured = models(candidate(fake, "a", max_concurrent=1))
    asking = asyncio.ensure_future(ask(configured, told))
    while not fake.calls:  # noqa: ASYNC110 - the server runs in another thread
        await asyncio.sleep(0.01)
    assert await in_use(ledger, "a") == 1
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await in_use(ledger, "a") == 0
    assert [call.error_class for call in told.calls] == ["cancelled"]
    assert (await ask(configured)).value == "fine"


async def test_an_ask_suspended_while_it_waits_holds_nothing(fake, ask, ledger):
    fake.script("a", say.hang())
    configured = models(candidate(fake, "a", max_concurrent=1))
    holding = asyncio.ensure_future(ask(configured))
    while not fake.calls:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    waiting = asyncio.ensure_future(ask(configured))
    await asyncio.sleep(0.1)
    waiting.cancel()
    holding.cancel()
    await asyncio.gather(waiting, holding, return_exceptions=True)
    assert await in_use(ledger, "a") == 0
    assert (await ask(configured)).value == "fine"
