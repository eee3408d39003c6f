"""The table of tests/faults/README.md, made from the rows of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from faults.checker import Row

BEGIN, END = "<!-- table: made by make faults -->", "<!-- end of the table -->"
HEAD = """| Fault | sent | lost | effects twice | paid twice | dead letters | recovery p50 / max, s | to be known |
|---|---|---|---|---|---|---|---|"""


def write(path: Path, rows: Sequence[Row]) -> None:
    """Put the rows between the markers; a row of a fault that was not played this time stays."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    lines = {_fault(line): line for line in old.strip().splitlines()[2:]}
    lines |= {_fault(line): line for line in map(_line, rows)}
    path.write_text("\n".join([before + BEGIN, HEAD, *lines.values(), END]) + after)


def _fault(line: str) -> str:
    return line.split(" | ", maxsplit=1)[0].removeprefix("| ").rpartition(" (")[0]


def _line(row: Row) -> str:
    recovery = f"{row.p50:.1f} / {row.most:.1f}" if row.recoveries else "-"
    cells = [row.fault, row.attempted, row.lost, row.duplicated, row.extra_calls, row.dead, recovery, row.remark]
    return "| " + " | ".join(map(str, cells)) + " |"
