"""The targets under Hypothesis, which makes the same inputs each time; tests/README.md tells how to have others."""

from __future__ import annotations

import os

import pytest
from fuzz import handshakes, json_text, verifier
from fuzz.choices import Choices, corpus, written
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
inputs = st.integers(0, 160).flatmap(lambda size: st.binary(min_size=size, max_size=size))


def budget(examples):
    """Allow that many examples, always the same; or FUZZ_TIMES as many, by chance or from --hypothesis-seed."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def send(judge, raw, **rest):
    """Judge an input; one that fails is shown as the corpus has it: Schemathesis keeps Hypothesis from showing it."""
    try:
        judge(Choices(raw), **rest)
    except Exception as error:
        error.add_note(f"the input, for tests/fuzz/corpus: {written(raw)}")
        raise


@budget(2500)
@given(inputs)
def test_only_what_a_known_sender_signed_in_time_is_verified(raw):
    send(verifier.judge, raw)


@budget(500)
@given(inputs)
def test_whatever_a_provider_asks_the_answer_is_harmless(raw):
    send(handshakes.judge, raw)


@budget(2500)
@given(inputs)
def test_json_that_is_accepted_means_the_same_to_every_reader(raw):
    send(json_text.judge, raw)


@budget(1000)
@given(inputs)
@example(b"\x01\xfc\x00\x00\x1d\x01\x00\x01\x00 ")  # a HEAD whose body breaks off: h11 raised in our refusal
def test_forged_streams_are_answered_in_form_and_store_nothing(front, raw):
    send(front.judge, raw)


@budget(500)
@given(inputs)
@example(b"D\r9\x00\x00\x01\x00")  # hangs up on two requests while the first is admitted: it was answered all the same
def test_of_any_stream_only_what_was_signed_is_stored(front, raw):
    send(front.judge, raw, genuine=True)


def test_a_failure_is_told_however_much_the_gateway_was_sent(front):
    front.fit.add(b"x" * 50_000)  # were it shown with all it holds, Hypothesis' warning of that would hide the failure

    @budget(1)
    @given(inputs)
    def fails(front, raw):
        raise LookupError(front, raw)

    with pytest.raises(LookupError):
        fails(front)


@pytest.mark.parametrize(
    ("target", "judge"), [("verifier", verifier.judge), ("handshake", handshakes.judge), ("json", json_text.judge)]
)
def test_what_was_found_before_passes(target, judge):
    for raw in corpus(target):
        send(judge, raw)


@pytest.mark.parametrize("target", ["forged", "stored"])
def test_streams_that_were_found_before_pass(front, target):
    for raw in corpus(target):
        send(front.judge, raw, genuine=target == "stored")
