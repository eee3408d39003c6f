"""Turns what the ledger tells into text for people: tables, ages, spans, states."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

WIDTH = 100  # where there is no terminal to ask: a CI log, a pipe
STYLES = {
    "done": "green", "delivered": "green", "running": "cyan", "waiting": "yellow", "queued": "blue",
    "discarded": "dim", "dead": "red",
}  # fmt: skip
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(length: timedelta) -> str:
    """Say how long: `350 ms`, `12 s`, `2 min 5 s`, `3 d 4 h`; at most two units, never negative."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    return _units(int(seconds))


def _units(rest: int) -> str:
    parts = []
    for size, unit in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break  # `1 h 5 s` would look like precision
    return " ".join(parts[:2])


def age(moment: datetime, now: datetime) -> str:
    """Say how long ago: `12 s ago`; `just now` below a second, and for clocks that differ."""
    gone = now - moment
    return "just now" if gone < timedelta(seconds=1) else f"{span(timedelta(seconds=gone // timedelta(seconds=1)))} ago"


def size(count: int) -> str:
    """Say how many bytes: `412 B`, `3.1 KiB`, `2.0 MiB`."""
    number = float(count)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def plural(count: int, noun: str) -> str:
    """Say how many of them: `1 event`, `2 deliveries`."""
    if count == 1:
        return f"1 {noun}"
    consonant = noun.endswith("y") and noun[-2] not in "aeiou"
    return f"{count} {noun[:-1]}ies" if consonant else f"{count} {noun}s"


def state(name: str) -> str:
    """Give a state in its colour, as Rich markup."""
    style = STYLES.get(name)
    return f"[{style}]{name}[/]" if style else name


def plain(text: object) -> str:
    """Escape text that came from elsewhere, so that it cannot be read as Rich markup or move the cursor."""
    from rich.markup import escape  # noqa: PLC0415 - keeps `hookmill --help` quick

    return escape("".join(char if char.isprintable() else " " for char in str(text)))


def console() -> Console:
    """Give a console for stdout that is as wide as the terminal, or 100 columns where there is none."""
    from rich.console import Console  # noqa: PLC0415 - keeps `hookmill --help` quick

    fixed = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    return Console(width=fixed, highlight=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Make a table; a column named `>x` is right-aligned, `!x` is never wrapped nor cut."""
    from rich.table import Table  # noqa: PLC0415 - keeps `hookmill --help` quick

    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for column in columns:
        right, whole = column.startswith(">"), column[:1] in {">", "!"}
        made.add_column(column.lstrip(">!"), justify="right" if right else "left", no_wrap=whole, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def show(*parts: Any) -> None:
    """Print tables and marked-up lines."""
    out = console()
    for part in parts:
        out.print(part)


def show_json(value: Any) -> None:
    """Print plain JSON and a line end: no colours, no wrapping, whatever stdout is."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def show_json_line(value: Any) -> None:
    """Print one JSON document on one line, at once: for what follows events."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
