"""Changes the Lua scripts of the ledger, one place at a time, and runs their tests over a real Redis.

    python -m mutation.lua [--fresh] [--first] [SCRIPT ...]

What the ledger's own tests do not kill is tried on those of what stands above it, unless README.md names it. Exits with
1 where a mutant survives that README.md does not name, or a row of it is stale. `--first` leaves the second part out,
and `--fresh` forgets what earlier runs found.
"""

from __future__ import annotations

import argparse
import re
import sys

from mutation.course import Case, Course
from mutation.equivalents import equivalents, judge
from mutation.scripts import mutants
from mutation.trial import ROOT

SCRIPTS = ROOT / "gateway/ledger/lua"
LEDGER = ROOT / "tests/redis/ledger"
CHANGES = {
    "tests/redis/ledger/conftest.py": None,  # runs each test over several servers; one is enough here
    "tests/redis/ledger/test_replicas.py": None,  # is about connections
}
SLOW = "test_state_machine.py"
FIRST = ("tests/redis/ledger",)
LATER = ("tests/redis/actors", "tests/redis/llm", "tests/redis/cli")


def ordered(verb: str) -> list[str]:
    """List the ledger's test files, those first that use this verb most, and last the one that takes the longest."""

    def uses(file):
        return len(re.findall(rf"\b{verb}\(", file.read_text()))

    files = sorted(LEDGER.glob("test_*.py"), key=lambda file: (file.name == SLOW, -uses(file), file.name))
    return [str(file.relative_to(ROOT)) for file in files]


def cases(names: list[str]) -> list[Case]:
    """Make the mutants of those scripts, or of all."""
    files = [SCRIPTS / f"{name}.lua" for name in names] or sorted(SCRIPTS.glob("*.lua"))
    return [
        Case(str(file.relative_to(ROOT)), text, before, after, order=tuple(ordered(file.stem)), near=function)
        for file in files
        for text, before, after, function in mutants(file.read_text())
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mutation.lua")
    parser.add_argument("scripts", nargs="*", help="names without .lua; all by default")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--first", action="store_true", help="only the tests of tests/redis/ledger")
    asked = parser.parse_args()
    made = cases(asked.scripts)
    left = course("lua", FIRST).run(made, fresh=asked.fresh)
    if not asked.first:
        named = equivalents()
        unnamed = [case for case in left if case.survivor not in named]
        left = [case for case in left if case.survivor in named]
        left += course("lua-later", LATER).run(unnamed, fresh=asked.fresh)
    return judge([case.survivor for case in left], tried={case.survivor.place for case in made})


def course(name: str, folders: tuple[str, ...]) -> Course:
    """Make the course over the tests of those folders."""
    return Course(name, arguments=folders, changes=CHANGES, over=("gateway/ledger", *folders))


if __name__ == "__main__":
    sys.exit(main())
