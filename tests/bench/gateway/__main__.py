"""What one gateway process takes, beside a bare Starlette route and the usual design: `make bench-gateway`.

All in one run, interleaved, on the same two cores: wrk at 32 and 64 connections, signed events of 1 KB, each subject
one uvicorn process (uvloop, httptools) with a redis-server of its own (appendfsync everysec, no maxmemory). The
gateway writes its default log to a file, its source has no limit, no worker runs, and each store is emptied between
the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gateway.collector import run_collector
from bench.gateway.cpu import run_splits
from bench.gateway.flat import run_flat
from bench.gateway.open_loop import OpenLoop, ask
from bench.gateway.report import GATEWAY, Report, aims, as_json
from bench.gateway.rounds import Sample, medians, run_rounds
from bench.gateway.subjects import ROOT, bare, hookmill, usual
from bench.gateway.tables import write_between
from bench.gateway.tracing import run_tracing
from bench.gateway.watched import documents
from bench.telling import CORES, Say, telling, warn_if_busy

SUBJECTS = {"bare": bare, "gateway": hookmill, "usual": usual}
PARTS = ("compare", "flat", "open-loop", "profile", "tracing", "collector")
KNEE_WIDTH, KNEE_SHARE = 64, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of everything; seconds."""

    widths: tuple[int, ...] = (32, KNEE_WIDTH)
    rounds: int = 5
    seconds: int = 5
    events: int = 1_000_000
    open_seconds: int = 60
    profile_seconds: int = 10
    blocks: int = 15
    block_seconds: float = 3


QUICK = Plan(rounds=1, seconds=2, events=10_000, open_seconds=5, profile_seconds=3, blocks=2, block_seconds=1)


def main() -> int:
    """Run what is asked for; 1 if any request failed, whatever the figures are."""
    options = read_options()
    asked = Plan(rounds=options.rounds, seconds=options.seconds, events=options.events, blocks=options.blocks)
    plan = QUICK if options.quick else asked
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # all that is started here inherits it
    warn_if_busy()
    with tempfile.TemporaryDirectory() as folder, telling() as say:
        report = measure(Path(folder), options, plan, say=say)
    show(report, options)
    return 1 if report.failures else 0


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything in small: shows that it works, not how quick")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given several times")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="of the comparison (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=Plan().rounds, help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=Plan().seconds, help="of a round, default: %(default)s")
    parser.add_argument("--events", type=int, default=Plan().events, help="in a full store, default: %(default)s")
    parser.add_argument("--blocks", type=int, default=Plan().blocks, help="of ill collectors, default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--readme", action="store_true", help="put the tables into the documents")
    return parser.parse_args()


def measure(folder: Path, options: argparse.Namespace, plan: Plan, *, say: Say) -> Report:
    """Run the parts."""
    parts = options.only or PARTS
    found: dict[str, Any] = {}
    if "compare" in parts:
        found["samples"] = compare(folder, options.subjects.split(","), plan, say=say)
    if "open-loop" in parts:
        found["open_loop"] = send_steadily(folder, found.get("samples", []), plan, say=say)
    if "profile" in parts:
        found["splits"] = run_splits(folder, seconds=plan.profile_seconds, say=say)
    if "flat" in parts:
        found["flat"] = run_flat(folder, events=plan.events, rounds=plan.rounds, seconds=plan.seconds, say=say)
    if "tracing" in parts:
        found["ways"], found["untraced"] = run_tracing(folder, rounds=plan.rounds, seconds=plan.seconds, say=say)
    if "collector" in parts:
        found["ills"] = run_collector(folder, blocks=plan.blocks, seconds=plan.block_seconds, say=say)
    return Report(**found)


def compare(folder: Path, names: list[str], plan: Plan, *, say: Say) -> list[Sample]:
    """Take the interleaved rounds."""
    with ExitStack() as opened:
        subjects = [opened.enter_context(SUBJECTS[name](folder / name)) for name in names]
        return run_rounds(subjects, connections=plan.widths, rounds=plan.rounds, seconds=plan.seconds, say=say)


def send_steadily(folder: Path, samples: list[Sample], plan: Plan, *, say: Say) -> OpenLoop:
    """Run the open loop at half of what the gateway takes; finds that first where the comparison has not."""
    with hookmill(folder / "steady") as subject:
        if not any(one.subject == GATEWAY for one in samples):
            samples = run_rounds(
                [subject], connections=(KNEE_WIDTH,), rounds=plan.rounds, seconds=plan.seconds, say=say
            )
        rate = medians(samples, GATEWAY, KNEE_WIDTH).per_second * KNEE_SHARE
        say(f"open loop: {rate:.0f}/s for {plan.open_seconds} s")
        subject.clear()
        return ask(subject.url, rate=rate, seconds=plan.open_seconds)


def show(report: Report, options: argparse.Namespace) -> None:
    """Print the tables, the aims and the failures, and write the files that were asked for."""
    written = list(documents(report))
    for _, _, text in written:
        print(text, end="\n\n")
    for aim in aims(report):
        print(f"{'✓' if aim.reached else '✗'} {aim.what}: {aim.measured:.2f}")
    for failure in report.failures:
        print(f"✗ {failure}")
    if options.json:
        options.json.write_text(json.dumps(as_json(report), indent=1))
    for file, mark, text in written if options.readme else ():
        write_between(ROOT / file, text, mark=mark)


if __name__ == "__main__":
    sys.exit(main())
