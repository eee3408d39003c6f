"""The main job, end to end: a signed webhook in, its result, signed, at another server."""

from __future__ import annotations

import json
import os
import signal

import pytest
from fakes import model_server
from stack import SECRET, Stack, until

COMMENT = json.dumps({"comment": {"body": "I love this, thank you! Mail me: jane@example.com"}}).encode()
MODELS = """
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt-test, api_base: "{url}", api_key: os.environ/FAKE_KEY, timeout: 5}}
  - model_name: lexicon
    litellm_params: {{model: local/lexicon}}
hookmill:
  aliases:
    fast: {{candidates: [gpt, lexicon], deadline: 20s}}
  candidates:
    gpt: {{max_concurrent: 20, circuit: {{failures: 50, window: 60s, open_for: 2s}}}}
"""
VERDICT = {"sentiment": "positive", "urgency": "low", "language": "en", "reason": "Says thanks."}
PICKY = """
from hookmill import Discard, RetryAfter, Run, pipeline


@pipeline("picky", steps=("first", "second"))
async def picky(run: Run) -> dict:
    asked = run.event.json
    first = await run.step("first", count, asked["name"])
    if asked["do"] == "discard":
        raise Discard("not for us")
    if asked["do"] == "later":
        return {"first": first, "second": await run.step("second", third_time_lucky, asked["name"])}
    raise KeyError("canary in an exception")


def count(name: str) -> int:
    with open(f"{name}.count", "a+") as file:
        file.write("x")
        file.seek(0)
        return len(file.read())


def third_time_lucky(name: str) -> int:
    tries = count(name)
    if tries < 3:
        raise RetryAfter(0.05)
    return tries
"""
SOURCE = """
[sources.{name}]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "{pipeline}"
sinks = ["receiver"]
retry = {{{{ attempts = 3, first = "20ms", cap = "50ms" }}}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory, module_redis):
    """One gateway, one worker, and a provider that says what a test wants."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "app.py").write_text(PICKY)
    sources = SOURCE.format(name="picky", pipeline="app.py:picky") + SOURCE.format(name="former", pipeline="nowhere")
    from stack import CONFIG

    with model_server.serve() as provider:
        models = MODELS.format(url=provider.url)
        with Stack(folder, module_redis.url, models=models, config=CONFIG + sources) as made:
            made.provider = provider
            made.start_gateway()
            made.start_worker()
            yield made


@pytest.fixture(autouse=True)
def _fresh(stack):
    stack.delivered.clear()
    stack.tries.clear()
    stack.answer = lambda nth: 200  # noqa: ARG005 - as a receiver that is always well
    stack.provider.calls.clear()
    stack.provider.default = model_server.says(VERDICT)


def over(stack, event_id):
    """Wait until the run and its deliveries are over."""

    def look():
        view = stack.show(event_id)
        return view if view.over and all(one.over for one in view.deliveries) else None

    return until(look)


def test_a_signed_event_is_answered_worked_and_delivered_signed(stack):
    response = stack.post(COMMENT)
    assert response.status_code == 202
    view = over(stack, response.json()["event_id"])
    ((delivery_id, (got,)),) = stack.delivered.items()
    assert view.state == "done"
    assert [step.name for step in view.steps] == ["redact", "classify"]
    assert got["result"] | VERDICT == got["result"]
    assert (got["id"], got["event_id"], got["degraded"]) == (delivery_id, view.id, False)
    assert got["traceparent"].split("-")[1] == view.trace_id
    assert "jane@example.com" not in json.dumps(stack.provider.calls[0].body)


def test_the_same_event_posted_again_is_neither_worked_nor_delivered_again(stack):
    first = stack.post(COMMENT, event_id="msg_again")
    over(stack, first.json()["event_id"])
    again = stack.post(COMMENT, event_id="msg_again")
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    assert again.json()["event_id"] == first.json()["event_id"]
    assert (again.json()["state"], len(stack.provider.calls)) == ("done", 1)


def test_a_failing_provider_falls_back_and_the_answer_is_marked_degraded(stack):
    stack.provider.default = model_server.status(503)
    view = over(stack, stack.post(COMMENT).json()["event_id"])
    ((got,),) = stack.delivered.values()
    assert len(stack.provider.calls) == 1
    assert (got["degraded"], got["result"]["sentiment"]) == (True, "positive")
    assert (view.steps[1].candidate, view.steps[1].degraded, view.steps[1].calls) == ("lexicon", True, 2)


def test_a_refused_delivery_is_retried_under_the_same_id(stack):
    stack.answer = lambda nth: 503 if nth < 3 else 200
    view = over(stack, stack.post(COMMENT).json()["event_id"])
    assert (view.deliveries[0].state, view.deliveries[0].attempts) == ("delivered", 2)
    assert [len(copies) for copies in stack.delivered.values()] == [1]


def test_steps_that_finished_are_not_run_again_by_a_retry(stack):
    view = over(stack, stack.post(b'{"name": "a", "do": "later"}', source="picky").json()["event_id"])
    assert (view.result, view.attempts) == ({"first": 1, "second": 3}, 1)


def test_a_discarded_run_delivers_nothing_and_says_why(stack):
    view = over(stack, stack.post(b'{"name": "b", "do": "discard"}', source="picky").json()["event_id"])
    assert (view.state, view.reason, view.deliveries) == ("discarded", "not for us", ())


def test_a_pipeline_that_always_raises_ends_as_a_dead_letter_without_its_text(stack):
    view = over(stack, stack.post(b'{"name": "c", "do": "crash"}', source="picky").json()["event_id"])
    assert (view.state, view.attempts, view.error_class) == ("dead", 3, "transient")
    assert "KeyError" in view.reason
    assert "canary" not in view.reason + stack.log("worker0")


def test_a_pipeline_that_is_not_installed_is_a_dead_letter_that_says_so(stack):
    view = over(stack, stack.post(b"{}", source="former").json()["event_id"])
    assert view.state == "dead"
    assert "'nowhere' is not installed" in view.reason


def test_a_worker_that_is_told_twice_to_stop_still_stops_in_good_order(stack):
    worker = stack.start_worker()
    os.killpg(worker.pid, signal.SIGTERM)  # its processes hear it by themselves, and through their master
    assert worker.wait(timeout=15) == 0
    assert "Traceback" not in stack.log("worker1")


def test_no_secret_of_the_configuration_is_in_a_log(stack):
    logs = stack.log("gateway") + stack.log("worker0")
    assert SECRET not in logs
    assert "sk-fake" not in logs
