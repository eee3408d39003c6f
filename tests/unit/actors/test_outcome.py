"""What an exception of a pipeline means for its run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from actors.errors import Discard, Failure, RetryAfter
from actors.outcome import Buried, Done, Later, from_error, in_time
from gateway.config import Retry, RetryPolicy
from gateway.ledger import Event, LedgerDown, Work

POLICY = RetryPolicy(attempts=3, first=timedelta(seconds=1), factor=2.0, cap=timedelta(seconds=3))


def work(attempts=0):
    event = Event(id="evt_1", source="blog", pipeline="triage", received_at=datetime.now(UTC), body=b"")
    return Work(
        id="evt_1",
        kind="run",
        fence="f",
        event=event,
        generation=0,
        attempts=attempts,
        lives=1,
        time_left=timedelta(minutes=1),
    )


def decide(error, work, policy, age=timedelta(0)):
    return from_error(error, work, policy, age=age)


def test_a_discard_is_never_retried():
    assert decide(Discard("spam"), work(), POLICY) == Done(state="discarded", reason="spam")


def test_retry_after_waits_exactly_as_asked():
    later = decide(RetryAfter(7, "not yet"), work(), POLICY)
    assert (later.delay, later.reason, later.counted) == (timedelta(seconds=7), "not yet", True)


def test_a_wait_that_is_no_attempt_lasts_no_longer_than_max_age():
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    waits = Later(delay=hour, reason="model fast: gpt: the budget of the day of all is spent")
    policy = replace(POLICY, max_age=10 * minute)
    assert in_time(waits, POLICY, age=hour) == waits
    assert in_time(waits, policy, age=9 * minute) == replace(waits, delay=minute)
    assert in_time(replace(waits, delay=minute / 2), policy, age=9 * minute).delay == minute / 2
    given_up = in_time(waits, policy, age=10 * minute)
    assert (type(given_up), given_up.error_class, given_up.counted) == (Buried, "rate_limited", False)
    assert given_up.reason == f"{waits.reason} (gave up waiting: it is older than max_age, 0:10:00)"


@pytest.mark.parametrize("klass", ["transient", "rate_limited", "bad_output"])
def test_a_classified_failure_is_retried_with_full_jitter(klass):
    delays = [decide(Failure("503", klass=klass), work(attempts=1), POLICY).delay for _ in range(200)]
    assert all(timedelta(0) <= delay <= timedelta(seconds=2) for delay in delays)
    assert max(delays) > timedelta(seconds=1) > min(delays), "they are spread over the whole range"


def test_the_delay_has_a_cap():
    policy = RetryPolicy(attempts=100, first=timedelta(seconds=1), factor=10.0, cap=timedelta(seconds=3))
    assert all(decide(Failure("x", klass="transient"), work(50), policy).delay <= policy.cap for _ in range(50))


def test_what_the_other_side_asked_for_is_honoured():
    failure = Failure("429", klass="rate_limited", retry_after=timedelta(seconds=40))
    assert decide(failure, work(), POLICY).delay == timedelta(seconds=40)


def test_a_permanent_failure_is_buried_at_once():
    buried = decide(Failure("401 of gpt", klass="permanent"), work(), POLICY)
    assert buried == Buried(reason="401 of gpt", error_class="permanent")


def test_the_last_attempt_is_buried_with_its_class():
    buried = decide(Failure("503", klass="transient"), work(attempts=2), POLICY)
    assert buried == Buried(reason="503 (gave up after 3 attempts)", error_class="transient")


def test_an_unknown_exception_is_transient_and_its_text_stays_out():
    later = decide(KeyError("jane@example.com"), work(), POLICY)
    assert later.error_class == "transient"
    assert later.reason == "KeyError was raised"


def test_an_outage_of_the_ledger_burns_no_attempt():
    later = decide(LedgerDown("gone"), work(attempts=2), POLICY)
    assert isinstance(later, Later)
    assert not later.counted


def test_retry_after_may_name_a_time():
    at = datetime.now(UTC) + timedelta(hours=2)
    later = decide(RetryAfter(at=at), work(), POLICY)
    assert timedelta(minutes=119) < later.delay <= timedelta(hours=2)
    with pytest.raises(Failure, match="with its zone"):
        RetryAfter(at=datetime(2026, 11, 21))  # noqa: DTZ001 - on purpose


def test_what_the_other_side_asked_for_has_a_cap():
    failure = Failure("429", klass="rate_limited", retry_after=timedelta(days=365))
    assert decide(failure, work(), POLICY).delay == timedelta(hours=1)


def test_each_class_may_have_attempts_of_its_own():
    policy = RetryPolicy(attempts=3, rate_limited=6, bad_output=1)
    assert decide(Failure("x", klass="transient"), work(2), policy).error_class == "transient"
    assert isinstance(decide(Failure("429", klass="rate_limited"), work(4), policy), Later)
    assert decide(Failure("429", klass="rate_limited"), work(5), policy).reason == "429 (gave up after 6 attempts)"
    assert decide(Failure("?", klass="bad_output"), work(0), policy).reason == "? (gave up after 1 attempt)"
    assert isinstance(decide(RetryAfter(1), work(2), policy), Buried)


def test_no_attempt_begins_later_than_max_age():
    policy = RetryPolicy(attempts=9, first=timedelta(seconds=1), cap=timedelta(seconds=1), max_age=timedelta(hours=1))
    failure = Failure("503", klass="transient")
    assert isinstance(decide(failure, work(), policy, age=timedelta(minutes=50)), Later)
    buried = decide(failure, work(), policy, age=timedelta(hours=1))
    assert "later than max_age, 1:00:00" in buried.reason
    asked = Failure("429", klass="rate_limited", retry_after=timedelta(minutes=30))
    assert isinstance(decide(asked, work(), policy, age=timedelta(minutes=50)), Buried)


def test_a_source_has_the_last_word_on_retries_and_its_pipeline_the_one_before():
    pipeline, source = Retry(attempts=9, first=timedelta(seconds=7)), Retry(attempts=2)
    assert RetryPolicy.of(pipeline, source) == RetryPolicy(attempts=2, first=timedelta(seconds=7))
    with pytest.raises(ValueError, match="at least 1"):
        Retry(attempts=0)
