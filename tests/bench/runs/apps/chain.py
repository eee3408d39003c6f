"""A chain of four calls to a model, once with a checkpoint after each and once in one step."""

from __future__ import annotations

import os

import httpx

from hookmill import Run, pipeline

STEPS = ("read", "label", "draft", "review")
client = httpx.AsyncClient(base_url=os.environ["BENCH_MODEL"], timeout=30, trust_env=False)


async def ask(variant: str, number: int, step: str) -> str:
    """Ask the model, which is told who asks, so that it can fail as planned; its every 500 fails the step."""
    message = {"role": "user", "content": f"{number} {step}"}
    answer = await client.post("/chat/completions", json={"model": variant, "messages": [message]})
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]["content"]


async def ask_all(variant: str, number: int) -> list[str]:
    return [await ask(variant, number, step) for step in STEPS]


@pipeline("checkpoints", steps=STEPS)
async def checkpoints(run: Run) -> list[str]:
    return [await run.step(step, ask, "checkpoints", run.event.json["number"], step) for step in STEPS]


@pipeline("scratch", steps=("chain",))
async def scratch(run: Run) -> list[str]:
    return await run.step("chain", ask_all, "scratch", run.event.json["number"])


@pipeline("once", steps=("chain",))
async def once(run: Run) -> list[str]:
    return await run.step("chain", ask_all, "once", run.event.json["number"])
