"""The package of n8n-workflows/node, as the tests use it: built from the sources, and put into an n8n.

PYTHONPATH=tests python tests/n8n/node.py    builds it and prints the tarball; 2 minutes the first time, then none
with --check (make test-node)                also checks its form, lints it, and runs its own tests

What it is built with (tsc, n8n's lint: 0.7 GB, from the npm registry by its lock) and what it is built into are in the
cache folder beside n8n, named by hashes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from n8n.install import QUIET, cache_folder, environment, install, once, step

PACKAGE = Path(__file__).parents[2] / "n8n-workflows" / "node"
TOOLS = ("package.json", "package-lock.json", ".npmrc")
MADE = ("node_modules", "dist", "bin")


def build() -> Path:
    """Give the folder of the package as it is now, with its tarball in it."""
    tools = once(_named("n8n-node-tools", TOOLS), _install_tools)
    return once(_named("n8n-node", sources()), lambda part: _build(part, tools))


def sources() -> list[str]:
    """Name the files that it is made of."""
    tops = [path for path in PACKAGE.iterdir() if path.name not in MADE and path.suffix != ".tgz"]
    files = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]
    return sorted(str(path.relative_to(PACKAGE)) for path in files)


def tarball(built: Path) -> Path:
    """Give what `npm pack` made: what a person installs."""
    [packed] = built.glob("*.tgz")
    return packed


def check(built: Path) -> None:
    """Check the form of the sources, lint them, and run their tests; raises RuntimeError with what was found."""
    for what in ("form", "lint", "test"):
        said = npm(built, "run", what)
        print(said if what == "test" else "", end="")


def npm(folder: Path, *arguments: str) -> str:
    """Run npm in that folder; gives what it said."""
    n8n = install()
    env = environment(n8n)
    env["PATH"] = f"{folder / 'bin'}{os.pathsep}{env['PATH']}"
    return step(f"npm {' '.join(arguments)}", [*n8n.npm(), *arguments], folder, env)


def put_into(folder: Path) -> None:
    """Install it into an n8n, whose folder is `.n8n` in this one, as n8n-workflows/node/README.md says."""
    nodes = folder / ".n8n" / "nodes"
    nodes.mkdir(parents=True)
    npm(nodes, "install", "--legacy-peer-deps", *QUIET, str(tarball(build())))


def _named(kind: str, names: list[str] | tuple[str, ...]) -> Path:
    digest = hashlib.sha256(cache_folder().name.encode())
    for name in names:
        digest.update(f"\n{name}\n".encode() + (PACKAGE / name).read_bytes())
    return cache_folder().with_name(f"{kind}-{digest.hexdigest()[:12]}")


def _install_tools(part: Path) -> None:
    for name in TOOLS:
        shutil.copy(PACKAGE / name, part)
    # Not `ci`: it refuses a lock without those optional packages of other machines that could not be looked up.
    npm(part, "install", "--no-save", *QUIET)


def _build(part: Path, tools: Path) -> None:
    for name in sources():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, part / name)
    (part / "node_modules").symlink_to(tools / "node_modules")
    # n8n's tool calls npm by its name, and the one in the wheel's bin cannot find itself.
    (part / "bin").mkdir()
    (part / "bin" / "npm").symlink_to(install().npm()[1])
    npm(part, "run", "build")
    npm(part, "pack", *QUIET)


if __name__ == "__main__":
    made = build()
    print(tarball(made))
    if "--check" in sys.argv[1:]:
        check(made)
