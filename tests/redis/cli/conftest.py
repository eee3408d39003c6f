"""The real command line in a subprocess, over a real Redis and a fresh configuration."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "gateway.cli.main"]


@pytest.fixture
def environment(tmp_path, redis_url):
    """The user's environment, without any HOOKMILL_* but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOOKMILL_")}
    return kept | {"HOOKMILL_REDIS_URL": redis_url, "HOOKMILL_DATA": str(tmp_path / "data"), "COLUMNS": "120"}


@pytest.fixture
def hookmill(tmp_path, environment):
    """Run `hookmill ARGUMENTS...` in the test's folder: (exit code, stdout, stderr)."""

    def call(*arguments, stdin="", **env):
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env=environment | env,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture
def site(hookmill, tmp_path):
    """A folder with what `hookmill init` writes."""
    assert hookmill("init")[0] == 0
    return tmp_path
