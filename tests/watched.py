"""A pipeline that fails, waits and asks as its event says, and events for it that are full of canaries."""

from __future__ import annotations

import json
import time

from stack import until

CANARY = "canary"
APP = """
from hookmill import RetryAfter, Run, pipeline


@pipeline("watched", steps=("first", "label"))
async def watched(run: Run) -> dict:
    asked = run.event.json
    first = await run.step("first", count, asked["name"], key=asked["text"])
    if asked["do"] == "later" and tries(asked["name"], "later") < asked["times"]:
        raise RetryAfter(0.05)
    if asked["do"] == "dead" and tries(asked["name"], "dead") < 4:
        raise KeyError(asked["text"])
    label = await run.ask("label", "canary-prompt: what is this?", untrusted=asked["text"], model="fast")
    return {"first": first, "label": label}


def count(name: str) -> int:
    return tries(name, "first")


def tries(name: str, what: str) -> int:
    with open(f"{name}.{what}", "a+") as file:
        file.write("x")
        file.seek(0)
        return len(file.read())
"""
SOURCE = """
[sources.watched]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "app.py:watched"
sinks = ["receiver"]
retry = {{ attempts = 3, first = "20ms", cap = "50ms" }}

[sources.trusting]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "app.py:watched"
sinks = ["receiver"]
trust_traceparent = true
"""
MODELS = """
model_list:
  - model_name: a
    litellm_params: {{model: openai/a, api_base: "{url}", api_key: os.environ/FAKE_KEY, timeout: 5}}
  - model_name: b
    litellm_params: {{model: openai/b, api_base: "{url}", api_key: os.environ/FAKE_KEY, timeout: 5}}
hookmill:
  aliases:
    fast: {{candidates: [a, b], deadline: 20s}}
"""
STRANGER = f"00-{'a' * 32}-{'b' * 16}-01"


def send(stack, do, *, source="watched", headers=None, times=3):
    """Post an event that is full of canaries; gives its id. One to do `later` is done at that attempt."""
    name = f"{do}-{time.monotonic_ns()}"
    body = json.dumps(
        {"name": name, "do": do, "times": times, "text": f"{CANARY}-{name} jane.canary@example.com"}
    ).encode()
    signed = stack.signed(body) | {"user-agent": f"{CANARY}-agent"} | (headers or {})
    answer = stack.client.post(f"{stack.url}/hooks/{source}?token={CANARY}-query", content=body, headers=signed)
    assert answer.status_code == 202, answer.text
    return answer.json()["event_id"]


def over(stack, event_id, state="done"):
    """Wait until the event and its deliveries are over."""

    def look():
        view = stack.show(event_id)
        ended = view.state == state and all(one.over for one in view.deliveries)
        return view if ended else None

    return until(look, within=30)
