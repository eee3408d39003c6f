"""The pipelines of Hookmill's side: steps that do nothing."""

from __future__ import annotations

from hookmill import Run, pipeline

THREE = ("first", "second", "third")


async def nothing() -> None: ...


@pipeline("one", steps=("only",))
async def one(run: Run) -> None:
    await run.step("only", nothing)


@pipeline("three", steps=THREE)
async def three(run: Run) -> None:
    for name in THREE:
        await run.step(name, nothing)
