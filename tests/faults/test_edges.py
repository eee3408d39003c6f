"""Faults of what Hookmill talks to: a sink that is down or late, a model that refuses, hangs or babbles."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from fakes import model_server

HUNG = replace(model_server.hang(), status=504)  # what nobody waited for is not an answer that was paid


def test_a_sink_that_is_down(world, play):
    world.stack.answer = lambda *_: 503
    before, seconds = sum(world.stack.tries.values()), 40 if play.long else 3
    with play.load(rate=10):
        time.sleep(seconds)
    posts = sum(world.stack.tries.values()) - before
    world.stack.answer = lambda *_: 200
    play.recovered_since(time.monotonic())
    remark = f"an hour with the retries of days, compressed alike; {posts} posts in {seconds} s of it"
    row = play.check("the sink is down", remark=remark)
    assert (row.extra_calls, row.dead) == (0, 0)
    assert posts <= 20 + 4 * seconds, "its circuit is open: a probe every half second, and what was under way"


def test_a_sink_that_answers_after_its_deadline(world, play):
    world.at_sink.latency = 0.7
    with play.load(rate=10):
        time.sleep(20 if play.long else 3)
    world.at_sink.heal()
    play.recovered_since(time.monotonic())
    row = play.check("the sink answers after its deadline")
    assert row.repetitions > 0, "the same webhook-id again"
    assert (row.extra_calls, row.dead) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "fault", "remark"),
    [
        (model_server.status(429, retry_after="1"), "the model answers 429 to everybody", ""),
        (HUNG, "the model hangs", ""),
        (model_server.broken_json(), "the model answers with broken JSON", "each broken answer is paid, too"),
    ],
)
def test_a_model_that_fails(world, play, answer, fault, remark):
    world.provider.default = answer
    with play.load(rate=5):
        time.sleep(60 if play.long else 4)
    world.provider.default = model_server.says("yes")
    play.recovered_since(time.monotonic())
    row = play.check(fault, remark=remark)
    assert row.dead == 0
