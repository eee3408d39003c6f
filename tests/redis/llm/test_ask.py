"""Asking, with real LiteLLM, a server that misbehaves as scripted, and slots and circuits in a real Redis."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Literal

import pytest
from fakes import model_server as say
from fakes.models import SECONDS, asker, candidate, models
from pydantic import BaseModel

from actors.errors import Failure
from actors.llm import Question
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
        asking = askers.setdefault(id(configured), asker(configured, ledger))
        telling = telling or Telling()
        question = Question(alias=alias, prompt="How is it?", untrusted=untrusted, into=into, token=token)
        return await asking.ask(question, wait=telling.wait, called=telling.calls.append)

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


def pool(fake, *names, **over):
    """Make candidates of one model at one place, each under a key of its own."""
    shared = {"model": "openai/gpt", "pool": names[0]} | over
    return [candidate(fake, name, params={"api_key": name}, **shared) for name in names]


@pytest.mark.parametrize("fault", [say.status(429), say.quota(), say.bad_key()])
async def test_what_lies_with_a_key_the_next_key_is_asked_for(fake, ask, fault):
    fake.script("gpt", fault)
    answer = await ask(models(*pool(fake, "one", "two"), candidate(fake, "b")))
    assert (answer.candidate, [call.key for call in fake.calls]) == ("two", ["one", "two"])


@pytest.mark.parametrize("fault", [say.status(500), say.overloaded(), say.html(), say.no_choices(), say.too_long()])
async def test_what_lies_with_the_provider_no_other_key_is_asked_for(fake, ask, fault):
    fake.script("gpt", fault)
    answer = await ask(models(*pool(fake, "one", "two"), candidate(fake, "b")))
    assert (answer.candidate, [call.model for call in fake.calls]) == ("b", ["gpt", "b"])


async def test_a_prompt_that_is_too_long_goes_to_those_that_take_longer_ones(fake, ask):
    fake.script("a", say.too_long())
    fake.script("c", say.status(500))
    larger = (candidate(fake, "c"), candidate(fake, "d"))
    answer = await ask(models(candidate(fake, "a"), candidate(fake, "b"), larger_context=larger))
    assert (answer.candidate, [call.model for call in fake.calls]) == ("d", ["a", "c", "d"])


async def test_a_prompt_that_is_too_long_for_all_ends_it(fake, ask):
    fake.script("a", say.too_long())
    fake.script("c", say.too_long())
    with pytest.raises(Failure, match=r"a: permanent .*; c: permanent") as failure:
        await ask(models(candidate(fake, "a"), candidate(fake, "b"), larger_context=(candidate(fake, "c"),)))
    assert (failure.value.klass, fake.asked("b")) == ("permanent", [])


@pytest.mark.parametrize("refusal", [say.refused(), say.says("", finish="content_filter")])
async def test_a_refused_prompt_goes_only_where_the_alias_allows_it(fake, ask, refusal):
    fake.script("a", refusal)
    fake.script("c", say.status(500), refusal)
    willing = (candidate(fake, "c"), candidate(fake, "d"))
    configured = models(candidate(fake, "a"), candidate(fake, "b"), on_refusal=willing)
    assert (await ask(configured)).candidate == "d"
    fake.script("a", refusal)
    fake.script("d", refusal)
    with pytest.raises(Failure, match=r"a: permanent .*; c: permanent .*; d: permanent") as failure:
        await ask(configured)
    assert (failure.value.klass, fake.asked("b")) == ("permanent", [])


async def test_all_failed_names_each_without_content_and_takes_the_most_hopeful_class(fake, ask):
    fake.script("a", say.status(401, message="bad key sk-fake"))
    fake.script("b", say.status(503, message="private words", retry_after="7"))
    with pytest.raises(Failure) as failure:
        await ask(models(candidate(fake, "a"), candidate(fake, "b")))
    text = "model fast: a: permanent (AuthenticationError 401); b: transient (ServiceUnavailableError 503)"
    assert (str(failure.value), failure.value.klass) == (text, "transient")
    assert failure.value.retry_after == timedelta(seconds=7)


async def test_who_is_limited_is_waited_for_as_long_as_it_said_and_that_is_no_failure(fake, ask):
    fake.script("a", say.status(429, retry_after="1"))
    fake.script("b", say.status(401))
    told = Telling()
    answer = await ask(models(candidate(fake, "a"), candidate(fake, "b")), told)
    assert (answer.value, answer.candidate, [call.model for call in fake.calls]) == ("fine", "a", ["a", "b", "a"])
    assert fake.calls[2].began - fake.calls[0].began >= 1
    assert {reason for _, reason in told.waits} == {"model fast: a: its provider has had enough"}


async def test_a_limited_candidate_is_left_alone_by_everybody(fake, ask):
    fake.script("a", say.status(429, retry_after="60"))
    configured = models(candidate(fake, "a"), candidate(fake, "b"))
    answers = [await ask(configured) for _ in range(4)]
    assert {answer.candidate for answer in answers} == {"b"}
    assert (len(fake.asked("a")), len(fake.asked("b"))) == (1, 4)


async def test_a_key_that_is_no_good_is_left_alone_by_everybody_and_named_where_nobody_else_answers(fake, ask):
    fake.script("gpt", say.bad_key())
    configured = models(*pool(fake, "one", "two"))
    assert [(await ask(configured)).candidate for _ in range(3)] == ["two"] * 3
    assert [call.key for call in fake.calls] == ["one", "two", "two", "two"]
    fake.script("gpt", say.bad_key())
    for _ in range(2):
        with pytest.raises(Failure, match=r"one: permanent \(its key is left alone\); two: permanent") as failure:
            await ask(configured)
        assert failure.value.klass == "permanent"
    assert len(fake.calls) == 5, "the second time nobody was called"


async def test_a_minute_holds_no_more_calls_than_its_limit_and_the_others_wait_for_their_turn(fake, ask):
    configured = models(candidate(fake, "a", rpm=3, tpm=100_000))
    told = Telling()
    asking = [asyncio.ensure_future(ask(configured, told)) for _ in range(5)]
    done, waiting = await asyncio.wait(asking, timeout=1)
    assert (len(done), len(waiting), len(fake.calls)) == (3, 2, 3)
    assert all(60 <= after.total_seconds() <= 62 for after, _ in told.waits)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_the_tokens_of_an_answer_take_the_place_of_those_that_were_reserved(fake, ask, ledger):
    await ask(models(candidate(fake, "a", tpm=100_000)))
    (view,) = (await ledger.stats()).candidates
    assert (view.calls, view.tokens) == (1, 15)


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
    assert {reason for _, reason in told.waits} == {"model fast: a: its circuit is open"}
    assert all(after <= 0.36 * SECONDS for after, _ in told.waits)


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
    began = time.monotonic()
    for _ in range(10):
        await ask(configured)
    one_by_one = time.monotonic() - began
    await asyncio.gather(*(ask(configured) for _ in range(20)))
    assert time.monotonic() - began < 3 * one_by_one, "two slots work off twice as many in about the same time"


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
