"""Changes the functions of gateway/verify/ as mutmut does, one place at a time, and runs tests/unit/verify over each.

    python -m mutation.functions [--fresh] [MODULE ...]

Exits with 1 where a mutant survives that README.md does not name, or a row of it is stale. `--fresh` forgets what
earlier runs found. mutmut makes the mutants; as its own runner collects all tests anew for each, ours tries them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mutation.course import Case, Course
from mutation.equivalents import judge
from mutation.trial import ROOT

SITE = ROOT / ".mutants/site"  # where `make mutants` installs mutmut, apart from .venv
VERIFY = ROOT / "gateway/verify"
TESTS = ROOT / "tests/unit/verify"
LAST = ("test_properties.py", "test_sdks.py")  # they take the longest
CODEC = re.compile(r'"(?:utf-8|latin-1|ascii|sha256)"', re.IGNORECASE)  # Python folds the case of these names
# Wording is not behaviour: the texts of errors and of promises are left alone, and so is what only type checkers read.
SETUP = r"""[mutmut]
source_paths=.
do_not_mutate_patterns=
    raise \w+\(f?"
    yield f?"
    cast\("
"""


def trampolined(path: str) -> tuple[str, list[Case]]:
    """Give the text of a module that can be each of its mutants, as the environment tells, and the mutants."""
    source = (ROOT / path).read_text()
    made = importlib.import_module("mutmut.mutation.file_mutation").mutate_file_contents(path, source, None, None)
    module = importlib.import_module("libcst").parse_module(made.code)
    dotted = path.removesuffix(".py").replace("/", ".")
    cases = []
    for name in made.mutant_names:
        before, after = changed(module, f"{dotted}.{name}")
        if CODEC.sub(folded, before) != CODEC.sub(folded, after):
            near = name.rpartition("__mutmut_")[0]
            cases.append(Case(path, "", before, after, order=order(path), near=near, name=f"{dotted}.{name}"))
    return made.code, cases


def changed(module: Any, name: str) -> tuple[str, str]:
    """Give the code that a mutant changes, before and after, each on one line."""
    diffs = importlib.import_module("mutmut.mutation.diff_apply")
    texts = [read(module, name) for read in (diffs.read_original_function, diffs.read_mutant_function)]
    before, after = ([line.strip() for line in module.code_for_node(one).strip().splitlines()] for one in texts)
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return " ".join(before), " ".join(after)


def folded(match: re.Match[str]) -> str:
    return match[0].lower()


def order(path: str) -> tuple[str, ...]:
    """List the test files, those first that speak most of this module."""
    stem = path.rpartition("/")[2].removesuffix(".py")
    files = sorted(
        TESTS.glob("test_*.py"), key=lambda file: (file.name in LAST, -file.read_text().count(stem), file.name)
    )
    return tuple(str(file.relative_to(ROOT)) for file in files)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mutation.functions")
    parser.add_argument("modules", nargs="*", help="names without .py; all by default")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    asked = parser.parse_args()
    sys.path.append(str(SITE))
    os.environ["PYTHONPATH"] = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(SITE)])
    files = [VERIFY / f"{name}.py" for name in asked.modules] or sorted(VERIFY.glob("*.py"))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("setup.cfg").write_text(SETUP)
        made = {path: trampolined(path) for file in files for path in [str(file.relative_to(ROOT))]}
    changes = {path: text for path, (text, _) in made.items()}
    course = Course("verify", arguments=("-p", "mutation.quick", "tests/unit/verify"), changes=changes,
                    over=("gateway/verify", "tests/unit/verify", "tests/fakes"))  # fmt: skip
    cases = [case for _, mutants in made.values() for case in mutants]
    left = [case.survivor for case in course.run(cases, fresh=asked.fresh)]
    return judge(left, tried={case.survivor.place for case in cases})


if __name__ == "__main__":
    sys.exit(main())
