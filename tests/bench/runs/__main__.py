"""What a worker takes, beside stock Dramatiq and Celery: `make bench-runs`.

All in one run, interleaved, on the same two cores: runs whose steps do nothing, two processes of 8 threads each, each
subject with a redis-server of its own (appendfsync everysec). Runs are queued while everybody stands still; then one
subject works them off.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.gateway.subjects import ROOT
from bench.gateway.tables import write_between
from bench.runs.failure import run_failure
from bench.runs.memory import run_memory
from bench.runs.rounds import run_rounds
from bench.runs.subjects import SHAPES, SUBJECTS
from bench.runs.tables import Report, aims, documents
from bench.runs.tracing import run_tracing
from bench.telling import CORES, Say, telling, warn_if_busy

PARTS = ("compare", "memory", "failure", "tracing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of everything; seconds."""

    rounds: int = 5
    seconds: float = 10
    runs: int = 100_000
    events: int = 1000


QUICK = Plan(rounds=1, seconds=2, runs=10_000, events=100)


def main() -> int:
    """Run what is asked for and show what came of it."""
    options = read_options()
    plan = QUICK if options.quick else Plan(**{name: getattr(options, name) for name in asdict(Plan())})
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # all that is started here inherits it
    warn_if_busy()
    with tempfile.TemporaryDirectory() as folder, telling() as say:
        report = measure(Path(folder), options, plan, say=say)
    written = list(documents(report))
    for _, _, text in written:
        print(text, end="\n\n")
    for aim in aims(report):
        print(f"{'✓' if aim.reached else '✗'} {aim.what}: {aim.measured:.2f}")
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=1))
    for file, mark, text in written if options.readme else ():
        write_between(ROOT / file, text, mark=mark)
    return 0


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.runs", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything in small: shows that it works, not how quick")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given several times")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="of the comparison (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=Plan().rounds, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=Plan().seconds, help="of a round, default: %(default)s")
    parser.add_argument("--runs", type=int, default=Plan().runs, help="over which memory is watched: %(default)s")
    parser.add_argument("--events", type=int, default=Plan().events, help="of the cost of failure: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--readme", action="store_true", help="put the tables into the documents")
    return parser.parse_args()


def measure(folder: Path, options: argparse.Namespace, plan: Plan, *, say: Say) -> Report:
    """Run the parts."""
    parts = options.only or PARTS
    found = {}
    if "compare" in parts:
        with ExitStack() as opened:
            subjects = []
            for one in options.subjects.split(","):
                say(f"start: {one}")
                subjects.append(opened.enter_context(SUBJECTS[one](folder / one)))
            found["samples"], found["commands"] = run_rounds(
                subjects, shapes=tuple(SHAPES), rounds=plan.rounds, seconds=plan.seconds, say=say
            )
    if "memory" in parts:
        found["memory"] = run_memory(folder / "memory", runs=plan.runs, say=say)
    if "failure" in parts:
        found["costs"] = run_failure(folder / "failure", events=plan.events, say=say)
    if "tracing" in parts:
        found["ways"] = run_tracing(folder / "tracing", rounds=plan.rounds, seconds=plan.seconds, say=say)
    return Report(**found)


if __name__ == "__main__":
    sys.exit(main())
