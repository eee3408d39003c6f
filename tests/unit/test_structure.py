"""The shape of the code, as the house style promises it."""

from __future__ import annotations

import ast
import re
import site
import statistics
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "gateway/ledger/keys.py"
BANNED = frozenset(
    ["manager", "handler", "processor", "service", "helper", "util", "common", "task", "job", "payload", "data"]
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MARKERS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
IMPOSED = {"data_received", "handle_data"}  # methods that the standard library calls by these names
SKIPS = re.compile(r"\b(?:importor)?sk" + r"ip(?:if|test)?\b|\bxf" + r"ail\b", re.IGNORECASE)

# Of the editable install of this project, and of setuptools.
KNOWN_PTH = frozenset({"_editable_impl_hookmill.pth", "distutils-precedence.pth"})


@cache
def modules() -> tuple[Path, ...]:
    found = [path for top in ("gateway", "actors", "otel") for path in (ROOT / top).rglob("*.py")]
    return (ROOT / "hookmill.py", *sorted(found))


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path))


def nodes(*kinds: type[ast.AST]) -> list[tuple[Path, ast.AST]]:
    return [(path, node) for path in modules() for node in ast.walk(tree(path)) if isinstance(node, kinds)]


def place(path: Path, node: ast.AST | None = None) -> str:
    line = f":{node.lineno}" if node is not None else ""
    return f"{path.relative_to(ROOT)}{line} {getattr(node, 'name', '')}".rstrip()


def lengths() -> list[tuple[int, str]]:
    return sorted((node.end_lineno - node.lineno + 1, place(path, node)) for path, node in nodes(*FUNCTIONS))


def words(name: str) -> set[str]:
    """Split snake_case and CamelCase, in lower case; plurals count as their singular."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    lower = {part.lower() for part in parts}
    return lower | {part.removesuffix("s") for part in lower}


def test_functions_are_short():
    found = lengths()
    lines = [length for length, _ in found]
    assert statistics.median(lines) <= 8
    assert statistics.quantiles(lines, n=10)[-1] <= 25
    assert [one for one in found if one[0] > 50] == []


def test_modules_are_short():
    assert {place(path): n for path in modules() if (n := len(text(path).splitlines())) > 300} == {}


def test_names_say_something():
    named = [(path, node, node.name) for path, node in nodes(ast.ClassDef, *FUNCTIONS)]
    assert [place(path, node) for path, node, name in named if name not in IMPOSED and words(name) & BANNED] == []
    assert [place(path) for path in modules() if words(path.stem) & BANNED] == []


def test_redis_keys_are_named_in_one_place():
    [tag] = re.findall(r'^TAG = "(.+)"$', text(KEYS), re.MULTILINE)
    others = [path for path in modules() if path != KEYS]
    scripts = (ROOT / "gateway").rglob("*.lua")
    assert [place(path) for path in (*others, *scripts) if tag in text(path) or "hookmill:" + "1" in text(path)] == []


def test_lua_stands_in_lua_files():
    assert [place(path) for path in modules() if re.search(r"\bredis\.p?call\(", text(path))] == []


def test_every_script_opens_with_its_keys_arguments_and_answer():
    scripts = sorted((ROOT / "gateway/ledger/lua").glob("*.lua"))
    assert scripts
    assert {path.name: missing for path in scripts if (missing := undeclared(path))} == {}


def undeclared(path: Path) -> list[str]:
    """Name what the opening comment of a script leaves out."""
    code = text(path)
    opening = re.match(r"(?:(?:--|#!).*\n)*", code)[0]
    return [word for word in ("KEYS", "ARGV", "Returns") if not re.search(rf"^--.*\b{word}\b", opening, re.MULTILINE)]


def test_dataclasses_are_frozen_slotted_and_keyword_only():
    assert [place(path, node) for path, node in nodes(ast.ClassDef) if loose(node)] == []


def loose(node: ast.ClassDef) -> bool:
    """Tell whether it is a dataclass that lacks one of the three."""
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        name = ast.unparse(call.func if call else decorator)
        if name.rpartition(".")[2] == "dataclass":
            given = call.keywords if call else []
            on = {k.arg for k in given if isinstance(k.value, ast.Constant) and k.value.value}
            return not {"frozen", "slots", "kw_only"} <= on
    return False


def test_nothing_is_left_for_later():
    everything = [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "gateway").rglob("*.lua")]
    assert [place(path) for path in everything if MARKERS.search(text(path))] == []


def test_no_test_is_left_out():
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    assert [f"{place(path)}: {line}" for path in tests for line in leaving_out(path)] == []


def leaving_out(path: Path) -> list[int]:
    """Give the lines that use pytest or unittest to leave a test out; the word may stand in a text or another name."""
    marks = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute) and SKIPS.fullmatch(node.attr)]
    return [node.lineno for node in marks if re.match(r"(pytest|unittest|self)\b", ast.unparse(node))]


@pytest.mark.parametrize("module", ["gateway", "gateway.app", "gateway.serve", "gateway.cli.main"])
def test_the_gateway_never_imports_what_only_the_worker_needs(module):
    asked = f"import sys, {module}; print(*sorted({{'litellm', 'dramatiq', 'actors'}} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout.strip()) == (0, ""), answer.stderr


def test_no_package_runs_code_at_start_up():
    """A stolen release of LiteLLM ran its code by a .pth file: https://github.com/BerriAI/litellm/issues/24512."""
    found = {path.name for folder in site.getsitepackages() for path in Path(folder).glob("*.pth")}
    assert found - KNOWN_PTH == set()


def test_the_lock_is_hashed_and_names_no_registry():
    lock = text(ROOT / "requirements.lock")
    assert not re.search(r"https?://|--(?:extra-)?index|--find-links|@ ", lock)
    assert [one for one in requirements() if "--hash=sha256:" not in one] == []


def test_no_stolen_release_is_locked():
    [locked] = [one.split()[0] for one in requirements() if one.startswith("litellm==")]
    assert locked not in {"litellm==1.82.7", "litellm==1.82.8"}


def test_the_lock_covers_what_the_project_declares():
    project = tomllib.loads(text(ROOT / "pyproject.toml"))
    declared = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["embedded"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    names = {re.match(r"[\w.-]+", one)[0].lower() for one in declared}
    assert names - {one.split("==")[0] for one in requirements()} == set()


def requirements() -> list[str]:
    """Give each requirement of the lock with its hashes."""
    return re.split(r"\n(?=\w)", text(ROOT / "requirements.lock").strip())
