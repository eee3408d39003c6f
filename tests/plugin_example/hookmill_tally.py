"""Counts the words of a text: a step that prepares, a step per line, a step that sums up."""

from __future__ import annotations

from dataclasses import dataclass

from hookmill import Discard, Run, pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many words there are, and which line has the most of them."""

    words: int
    longest: str


@pipeline("tally", version=1, steps=("split", "count", "sum-up"))
async def tally(run: Run) -> Tally:
    """Tally the `text` of the event."""
    text = run.event.json.get("text")
    if not isinstance(text, str):
        raise Discard("the event has no text")
    lines = await run.step("split", split, text)
    counts = await run.map("count", count, lines, concurrency=2)
    return await run.step("sum-up", sum_up, lines, counts)


def split(text: str) -> list[str]:
    """Give the lines that have words."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def count(line: str) -> int:
    """Count the words of a line."""
    return len(line.split())


def sum_up(lines: list[str], counts: list[int]) -> Tally:
    """Add the counts up; of equally long lines the first is named."""
    most = max(counts, default=0)
    return Tally(
        words=sum(counts), longest=next((line for line, n in zip(lines, counts, strict=True) if n == most), "")
    )
