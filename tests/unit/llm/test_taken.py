"""What a call can take at most, and what is known of it when it has ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from actors.llm.classify import Trouble
from actors.llm.records import Reply
from actors.llm.taken import KEY_REST, TYPICAL, Taken, worst
from gateway.config import Candidate

SECOND = timedelta(seconds=1)
REPLY = Reply(text="x", finish_reason="stop", model="m", input_tokens=3, output_tokens=4, cost_usd=0.5)


@pytest.mark.parametrize(
    ("params", "written"),
    [
        ({}, TYPICAL),
        ({"max_tokens": 50}, 50),
        ({"max_tokens": "60"}, 60),
        ({"max_completion_tokens": 7, "max_tokens": 9}, 7),
    ],
)
def test_no_token_is_shorter_than_a_byte(params, written):
    candidate = Candidate(name="a", model="openai/a", params=params)
    messages = [{"role": "system", "content": "ab"}, {"role": "user", "content": "\u00e9\ud800"}]
    assert worst(candidate, messages) == (2 + 16 + 2 + 3 + 16, written)


def test_what_a_reply_tells_is_booked():
    taken = Taken(value="x", reply=REPLY)
    assert (taken.cost, taken.ended(SECOND).tokens, taken.ended(SECOND).outcome) == (0.5, 7, "ok")


@pytest.mark.parametrize(("refused", "known"), [(True, 0), (False, None)])
def test_a_call_without_a_reply_is_free_only_if_its_provider_refused_it(refused, known):
    taken = Taken(trouble=Trouble(kind="transient", name="x", refused=refused))
    assert (taken.cost, taken.ended(SECOND).tokens) == (known, known)


@pytest.mark.parametrize(
    ("kind", "outcome", "rest"), [("key", "out", KEY_REST), ("rate_limited", "limited", 7 * SECOND)]
)
def test_who_is_left_alone_and_for_how_long(kind, outcome, rest):
    ended = Taken(trouble=Trouble(kind=kind, name="x", retry_after=7 * SECOND)).ended(SECOND)
    assert (ended.outcome, ended.rest, ended.took) == (outcome, rest, SECOND)
