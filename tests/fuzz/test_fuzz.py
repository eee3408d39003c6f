"""The targets under Hypothesis, which makes the same inputs each time; tests/README.md tells how to have others."""

from __future__ import annotations

import os

import pytest
from fuzz import handshakes, json_text, verifier
from fuzz.choices import Choices, corpus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
inputs = st.integers(0, 160).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(Choices)


def budget(examples):
    """Allow that many examples, always the same; or FUZZ_TIMES as many, by chance or from --hypothesis-seed."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@budget(2500)
@given(inputs)
def test_only_what_a_known_sender_signed_in_time_is_verified(choices):
    verifier.judge(choices)


@budget(500)
@given(inputs)
def test_whatever_a_provider_asks_the_answer_is_harmless(choices):
    handshakes.judge(choices)


@budget(2500)
@given(inputs)
def test_json_that_is_accepted_means_the_same_to_every_reader(choices):
    json_text.judge(choices)


@budget(1000)
@given(inputs)
def test_forged_streams_are_answered_in_form_and_store_nothing(front, choices):
    front.judge(choices)


@budget(500)
@given(inputs)
def test_of_any_stream_only_what_was_signed_is_stored(front, choices):
    front.judge(choices, genuine=True)


@pytest.mark.parametrize(
    ("target", "judge"), [("verifier", verifier.judge), ("handshake", handshakes.judge), ("json", json_text.judge)]
)
def test_what_was_found_before_passes(target, judge):
    for raw in corpus(target):
        judge(Choices(raw))


@pytest.mark.parametrize("target", ["forged", "stored"])
def test_streams_that_were_found_before_pass(front, target):
    for raw in corpus(target):
        front.judge(Choices(raw), genuine=target == "stored")
