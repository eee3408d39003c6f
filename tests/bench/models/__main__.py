"""What becomes of events when models fail, and what their providers see: `make bench-models`.

A gateway, workers and a Redis of their own (appendfsync everysec), and one server that plays the providers and keeps a
log and a book.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.gateway.subjects import ROOT
from bench.gateway.tables import write_between
from bench.models.fallback import run_fallback
from bench.models.limits import run_budget, run_limits
from bench.models.tables import MARK, Report, aims, tables
from bench.models.trouble import run_hang, run_storm
from bench.telling import CORES, Say, telling, warn_if_busy

PARTS = ("fallback", "hang", "storm", "budget", "limits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of everything; seconds."""

    events: int = 1000
    asks: int = 200
    storm: float = 60
    spenders: int = 300
    limited: int = 300


QUICK = Plan(events=100, asks=20, storm=8, spenders=100, limited=70)


def main() -> int:
    """Run what is asked for and show what came of it."""
    options = read_options()
    plan = QUICK if options.quick else Plan()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # all that is started here inherits it
    warn_if_busy()
    with tempfile.TemporaryDirectory() as folder, telling() as say:
        report = measure(Path(folder), options.only or PARTS, plan, say=say)
    print(tables(report), end="\n\n")
    for aim in aims(report):
        print(f"{'✓' if aim.reached else '✗'} {aim.what}: {aim.measured:.2f}")
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=1))
    if options.readme:
        write_between(ROOT / "actors" / "README.md", tables(report), mark=MARK)
    return 0


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.models", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything in small: shows that it works")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given several times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--readme", action="store_true", help="put the tables into actors/README.md")
    return parser.parse_args()


def measure(folder: Path, parts: tuple[str, ...], plan: Plan, *, say: Say) -> Report:
    """Run the parts."""
    found = {}
    if "fallback" in parts:
        found["fallback"] = run_fallback(folder / "fallback", events=plan.events, say=say)
    if "hang" in parts:
        found["hang"] = run_hang(folder / "hang", asks=plan.asks, say=say)
    if "storm" in parts:
        found["storm"] = run_storm(folder / "storm", seconds=plan.storm, say=say)
    if "budget" in parts:
        found["budgets"] = run_budget(folder / "budget", events=plan.spenders, say=say)
    if "limits" in parts:
        found["limits"] = run_limits(folder / "limits", events=plan.limited, say=say)
    return Report(**found)


if __name__ == "__main__":
    sys.exit(main())
