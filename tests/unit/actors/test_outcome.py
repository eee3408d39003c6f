"""What an exception of a pipeline means for its run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from actors.errors import Discard, Failure, RetryAfter
from actors.outcome import Buried, Done, Later, from_error
from gateway.config import RetryPolicy
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


def test_a_discard_is_never_retried():
    assert from_error(Discard("spam"), work(), POLICY) == Done(state="discarded", reason="spam")


def test_retry_after_waits_exactly_as_asked():
    later = from_error(RetryAfter(7, "not yet"), work(), POLICY)
    assert (later.delay, later.reason, later.counted) == (timedelta(seconds=7), "not yet", True)


@pytest.mark.parametrize("klass", ["transient", "rate_limited", "bad_output"])
def test_a_classified_failure_is_retried_with_full_jitter(klass):
    delays = [from_error(Failure("503", klass=klass), work(attempts=1), POLICY).delay for _ in range(200)]
    assert all(timedelta(0) <= delay <= timedelta(seconds=2) for delay in delays)
    assert max(delays) > timedelta(seconds=1) > min(delays), "they are spread over the whole range"


def test_the_delay_has_a_cap():
    policy = RetryPolicy(attempts=100, first=timedelta(seconds=1), factor=10.0, cap=timedelta(seconds=3))
    assert all(from_error(Failure("x", klass="transient"), work(50), policy).delay <= policy.cap for _ in range(50))


def test_what_the_other_side_asked_for_is_honoured():
    failure = Failure("429", klass="rate_limited", retry_after=timedelta(seconds=40))
    assert from_error(failure, work(), POLICY).delay == timedelta(seconds=40)


def test_a_permanent_failure_is_buried_at_once():
    buried = from_error(Failure("401 of gpt", klass="permanent"), work(), POLICY)
    assert buried == Buried(reason="401 of gpt", error_class="permanent")


def test_the_last_attempt_is_buried_with_its_class():
    buried = from_error(Failure("503", klass="transient"), work(attempts=2), POLICY)
    assert buried == Buried(reason="503 (gave up after 3 attempts)", error_class="transient")


def test_an_unknown_exception_is_transient_and_its_text_stays_out():
    later = from_error(KeyError("jane@example.com"), work(), POLICY)
    assert later.error_class == "transient"
    assert later.reason == "KeyError was raised"


def test_an_outage_of_the_ledger_burns_no_attempt():
    later = from_error(LedgerDown("gone"), work(attempts=2), POLICY)
    assert isinstance(later, Later)
    assert not later.counted
