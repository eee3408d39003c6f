from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.cli.why import Scene, explain
from gateway.ledger import CandidateView


def test_a_failed_run_says_what_failed_and_when_it_is_tried_again(run, now):
    view = run(
        "waiting", step="classify", error_class="rate_limited", attempts=2, reason="429 from gpt-mini",
        due_at=now + timedelta(seconds=48),
    )  # fmt: skip
    assert explain(view, Scene(now=now, most_attempts=5)) == (
        "evt_1 from blog is waiting: it failed at step classify (rate_limited, attempt 2 of 5) 12 s ago and will be "
        "tried again in 48 s. Last error: 429 from gpt-mini. To try at once: `hookmill events replay evt_1`."
    )


def test_attempts_without_a_known_limit_are_only_counted(run, now):
    view = run("waiting", error_class="transient", attempts=7, due_at=now + timedelta(seconds=5))
    assert "(transient, attempt 7)" in explain(view, Scene(now=now, most_attempts=5))


def test_waiting_for_a_model_is_no_attempt(run, now, step):
    view = run(
        "waiting", step="label", reason="model fast: circuits open", due_at=now + timedelta(seconds=30),
        steps=(step("redact"),),
    )  # fmt: skip
    text = explain(view, Scene(now=now))
    assert "is waiting at step label: model fast: circuits open. It goes on in 30 s" in text
    assert "does not count as an attempt; 1 finished step will not be worked nor paid again" in text


def test_a_due_wait_goes_on_at_once(run, now):
    view = run("waiting", reason="asked to", due_at=now - timedelta(seconds=3))
    assert "It goes on now, as soon as a worker is free" in explain(view, Scene(now=now))


def test_a_queued_run_of_a_paused_pipeline_names_the_way_out(run, now):
    text = explain(run("queued"), Scene(now=now, paused={"pipeline:comment-sentiment": ""}))
    assert "pipeline comment-sentiment is paused" in text
    assert "`hookmill resume pipeline comment-sentiment`" in text


def test_a_long_queue_makes_one_look_for_a_worker(run, now):
    assert "hookmill worker" not in explain(run("queued"), Scene(now=now))
    late = run("queued", updated_at=now - timedelta(minutes=5))
    assert "hookmill worker" in explain(late, Scene(now=now))


def test_a_running_run_says_where_it_is(run, now, step):
    view = run(
        "running", step="label", steps=(step("redact"),), steps_total=3, lease_until=now + timedelta(seconds=8),
        reason="model fast: waiting for a slot of gpt-mini",
    )  # fmt: skip
    text = explain(view, Scene(now=now))
    assert "is running at step label: a worker began it 12 s ago. So far 1 of 3 steps finished." in text
    assert "It waits inside the run: model fast: waiting for a slot of gpt-mini." in text


def test_a_wait_for_a_model_tells_which_of_its_limits_is_reached(run, now):
    view = run("waiting", reason="model fast: waiting for a slot or room in the minute of gpt", due_at=now)
    used = CandidateView(name="gpt", in_flight=1, calls=60)
    text = explain(view, Scene(now=now, candidates=(CandidateView(name="other"), used)))
    assert "room in the minute of gpt (now 1 call in flight, 60 in its last minute). It goes on" in text


def test_a_long_answer_under_way_is_no_wait(run, now):
    view = run("running", step="reply", reason="1,240 tokens so far", lease_until=now + timedelta(seconds=8))
    text = explain(view, Scene(now=now))
    assert "The answer of its model has 1,240 tokens so far." in text
    assert "waits" not in text


def test_a_lost_worker_is_told_as_such(run, now):
    text = explain(run("running", lease_until=now - timedelta(seconds=4)), Scene(now=now))
    assert "lost its worker: the lease ended 4 s ago" in text


def test_a_done_run_says_what_became_of_its_deliveries(run, delivery, now, step):
    view = run(
        "done", updated_at=now - timedelta(seconds=50),
        steps=(step("redact"), step("label", candidate="lexicon", degraded=True)),
        deliveries=(
            delivery("delivered", attempts=1),
            delivery("waiting", id="dlv_2", sink="crm", attempts=3, reason="503", due_at=now + timedelta(minutes=2)),
            delivery("dead", id="dlv_3", sink="old", reason="410"),
        ),
    )  # fmt: skip
    text = explain(view, Scene(now=now))
    assert "is done: it was worked in 2 steps, 10 s after it came (50 s ago)." in text
    assert "Answered by a lesser model (degraded): label by lexicon." in text
    assert "Its result for n8n was delivered 12 s ago at attempt 2." in text
    assert "Its result for crm is tried again in 2 min: 503 (attempt 3 failed)." in text
    assert "`hookmill dead replay dlv_3`" in text


def test_a_held_delivery_names_the_paused_sink(run, delivery, now):
    held = Scene(now=now, paused={"sink:n8n": "sink n8n: HTTP 410"})
    text = explain(run("done", deliveries=(delivery("queued"),)), held)
    assert "sink n8n is paused by sink n8n: HTTP 410. Let it go on: `hookmill resume sink n8n`." in text


def test_a_run_without_a_sink_sent_nothing(run, now):
    assert "It has no sink, so nothing was sent." in explain(run("done"), Scene(now=now))


def test_a_dead_letter_says_why_and_both_ways_out(run, now):
    view = run("dead", step="label", error_class="permanent", attempts=1, reason="400 from gpt-mini.")
    assert explain(view, Scene(now=now)) == (
        "evt_1 from blog is a dead letter: it was given up at step label (permanent, 1 attempt) 12 s ago. Last error: "
        "400 from gpt-mini. When that is repaired, `hookmill dead replay evt_1` goes on where it failed; "
        "`hookmill dead discard evt_1` gives the run up for good."
    )


def test_a_discarded_run_is_a_decision(run, now):
    assert "was discarded 12 s ago: spam. That is a decision" in explain(
        run("discarded", reason="spam"), Scene(now=now)
    )


def test_a_dead_delivery_is_spoken_of_as_a_delivery(delivery, now):
    text = explain(delivery("dead", error_class="permanent", attempts=8, reason="410"), Scene(now=now))
    assert text.startswith("dlv_1, the delivery of evt_1 to n8n, is a dead letter: it was given up (permanent, 8 attem")
    assert "gives the delivery up for good" in text


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "done", "discarded", "dead", "delivered", "novel"])
def test_every_state_gives_one_paragraph_with_the_id(run, delivery, now, state):
    for view in (run(state), delivery(state)):
        text = explain(view, Scene(now=now))
        assert view.id in text
        assert "\n" not in text
        assert "  " not in text
        assert ".." not in text


def test_a_queue_without_a_worker_says_so(run, now):
    assert "no worker was seen for a minute: start `hookmill worker`" in explain(
        run("queued"), Scene(now=now, workers=0)
    )
