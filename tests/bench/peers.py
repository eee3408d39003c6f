"""The programs that benches measure Hookmill beside: in an environment of their own, made from peers.lock."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("peers.lock")
UV = Path(sys.executable).with_name("uv")


def peers_python() -> Path:
    """Give the interpreter of that environment, which is made if this lock never had one."""
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hookmill" / f"peers-{digest}"
    python, made = folder / "bin" / "python", folder / "made"
    if not made.exists():
        print(f"installing {LOCK.name} into {folder}", file=sys.stderr, flush=True)
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(LOCK))
        made.touch()
    return python


def _uv(*arguments: str) -> None:
    env = {"UV_SYSTEM_CERTS": "1"} | os.environ  # trust what this machine trusts, as .ci/setup does
    subprocess.run([UV, *arguments], env=env, check=True, timeout=900)
