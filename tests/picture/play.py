"""Eleven minutes of a busy morning: what the picture of the dashboard shows.

Two sources, two models, a sink. In the second minute a hundred orders come at once; in the fifth the first model slows
down and fails; in the eighth the sink is away; in the end there is another rush, and the picture is taken in it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
from fakes.dialects import Said
from fakes.model_server import Scripted, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.model_server import Asked, FakeProvider
    from stack import Stack

LENGTH = 660  # seconds
RATES = {"shop": 1.6, "tickets": 1.1}  # events a second
RUSHES = {90: 110, 645: 60}  # at that second so many orders at once
SLOW, DOWN, AWAY = (250, 370), (290, 370), (450, 500)  # seconds: the model is slow, and fails; the sink is away
CONFIG = """
[sources.shop]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "app.py:triage"
priority = "high"
sinks = ["crm"]
concurrency = 6
limit = "600/minute"
retry = {{ attempts = 4, first = "2s", cap = "10s" }}

[sources.tickets]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "app.py:triage"
sinks = ["crm"]
concurrency = 4
retry = {{ attempts = 4, first = "2s", cap = "10s" }}

[sinks.crm]
kind = "webhook"
url = "{url}"
secret = "env:SINK_SECRET"
allow_private = true
retry = ["5s", "10s", "20s", "40s"]
"""
MODELS = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{openai}", api_key: os.environ/FAKE_KEY, timeout: 8}}
  - model_name: haiku
    litellm_params: {{model: anthropic/claude-haiku-4-5, api_base: "{anthropic}", api_key: os.environ/FAKE_KEY}}
hookmill:
  aliases:
    fast: {{candidates: [gpt-4o-mini, haiku], deadline: 30s}}
  candidates:
    gpt-4o-mini: {{circuit: {{failures: 6, window: 30s, open_for: 20s}}}}
"""
APP = """
from hookmill import Discard, Run, pipeline


@pipeline("triage", steps=("clean", "label"))
async def triage(run: Run) -> dict:
    asked = run.event.json
    text = await run.step("clean", clean, asked["text"])
    if asked["kind"] == "noise":
        raise Discard("nothing to label")
    if asked["kind"] == "poison":
        raise KeyError("no such customer")
    return {"label": await run.ask("label", "Which team owns this?", untrusted=text, model="fast")}


def clean(text: str) -> str:
    return " ".join(text.split())
"""
CHANCE = random.Random(7)


def within(span: tuple[int, int], now: float) -> bool:
    """Tell whether a second of the play lies in that span."""
    return span[0] <= now < span[1]


def answer_models(provider: FakeProvider, clock: Callable[[], float]) -> None:
    """Let the models answer as the play has it."""

    def reply(asked: Asked) -> Scripted:
        now, first = clock(), asked.model == "gpt-4o-mini"
        if first and within(DOWN, now) and CHANCE.random() < 0.7:
            return status(503)
        took = CHANCE.lognormvariate(-0.5 if first else 0.1, 0.35) * (2.2 if first and within(SLOW, now) else 1)
        usage = (CHANCE.randint(700, 1500), CHANCE.randint(60, 220))
        return Scripted(answer=Said(text="billing", usage=usage), delay=took)

    provider.default = reply


async def send(stack: Stack, clock: Callable[[], float]) -> None:
    """Send the events of the play until its end."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:

        async def post(source: str, *, kind: str = "", forged: bool = False, event_id: str | None = None) -> None:
            drawn = CHANCE.random()
            kind = kind or ("poison" if drawn < 0.02 else "noise" if drawn < 0.06 else "fine")
            body = json.dumps({"kind": kind, "text": f"Where is   my order {CHANCE.random()}?"}).encode()
            headers = stack.signed(body, event_id=event_id) | ({"webhook-signature": "v1,AAAA"} if forged else {})
            await deliver(source, body, headers)

        async def deliver(source: str, body: bytes, headers: dict[str, str]) -> None:
            while True:
                with suppress(httpx.TransportError):  # a connection that was idle may be closed as it is used
                    await client.post(f"{stack.url}/hooks/{source}", content=body, headers=headers)
                    return

        async def stream(source: str, rate: float) -> None:
            number = 0
            while clock() < LENGTH:
                await asyncio.sleep(CHANCE.expovariate(rate * (1 + 0.3 * (clock() > 400))))
                number += 1
                await post(source, forged=number % 23 == 0)
                if number % 17 == 0:
                    await twice(source)

        async def twice(source: str) -> None:
            body = json.dumps({"kind": "fine", "text": f"Again {CHANCE.random()}"}).encode()
            headers = stack.signed(body)
            for _ in range(2):
                await deliver(source, body, headers)

        async def rush(at: int, count: int) -> None:
            await asyncio.sleep(at - clock())
            await asyncio.gather(*(post("shop", kind="fine") for _ in range(count)))

        parts = [stream(*one) for one in RATES.items()] + [rush(*one) for one in RUSHES.items()]
        await asyncio.gather(*parts)


def play(stack: Stack, provider: FakeProvider) -> tuple[float, float]:
    """Play it all; gives when it began and ended."""
    began = time.time()

    def clock() -> float:
        return time.time() - began

    answer_models(provider, clock)
    stack.answer = lambda _: 503 if within(AWAY, clock()) else 200
    asyncio.run(send(stack, clock))
    return began, time.time()
