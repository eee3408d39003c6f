"""Runs wrk against one subject, and gives what it says."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stack import KEY

HERE = Path(__file__).parent
SCRIPT, BODY = HERE / "sign.lua", HERE / "event.json"
PATIENCE = 30  # seconds beyond the round
TIMEOUT = "10s"  # of an answer; wrk's own 2 s is less than some designs take
ACCEPTED = "202"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one run of wrk saw."""

    seconds: float
    accepted: int
    failures: dict[str, int]
    p50_ms: float
    p99_ms: float


def find_wrk() -> str:
    """Give the program; ends the bench where there is none."""
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit("wrk is not on PATH; install it (apt-get install wrk)")
    return path


def press(url: str, *, connections: int, seconds: int) -> Round:
    """Send signed events as fast as the connections allow; whatever is not a 202 is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        env = {"BENCH_KEY": KEY.decode(), "BENCH_RUN": secrets.token_hex(4), "BENCH_BODY": str(BODY)}
        command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", TIMEOUT, "-s", str(SCRIPT), url]
        env |= {"BENCH_REPORT": str(report)}
        ran = subprocess.run(
            command, env=os.environ | env, check=False, capture_output=True, text=True, timeout=seconds + PATIENCE
        )
        if not report.exists():  # wrk goes on without a script that it cannot load
            raise SystemExit(f"wrk failed: {ran.stderr or ran.stdout}")
        said = json.loads(report.read_text())
    failures = {status: times for status, times in said["answers"].items() if status != ACCEPTED}
    failures |= {error: said[error] for error in ("connect", "read", "write", "timeout") if said[error]}
    return Round(
        seconds=said["seconds"],
        accepted=said["answers"].get(ACCEPTED, 0),
        failures=failures,
        p50_ms=said["p50_ms"],
        p99_ms=said["p99_ms"],
    )
