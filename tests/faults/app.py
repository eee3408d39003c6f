"""The pipeline of the fault suite: one question to a model; an event may be poison."""

from __future__ import annotations

import os

from hookmill import Run, pipeline


def swallow(poison: str) -> str:
    if poison == "raise":
        raise RuntimeError("poison")
    if poison == "exit":
        os._exit(9)
    return poison


@pipeline("work", version=1, steps=("answer",))
async def work(run: Run) -> dict[str, str]:
    asked = run.event.json
    if asked.get("poison"):
        await run.step("swallow", swallow, asked["poison"])
    answer = await run.ask("answer", "Answer in one word.", untrusted=asked["number"])
    return {"number": asked["number"], "answer": answer}
