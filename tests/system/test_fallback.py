"""`hookmill up` on a machine without a Redis server: the one of the wheel does the work, and a line says so."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from redis import Redis
from stack import until

from gateway.cli.init import init

HOOKMILL = [sys.executable, "-m", "gateway.cli.main"]
TOO_OLD = "#!/bin/sh\necho 'Redis server v=6.0.16 sha=00000000:0 malloc=libc bits=64 build=0'\n"


@pytest.fixture
def site(tmp_path):
    """A folder with a fresh configuration, and a PATH on which there is only a server that is too old."""
    init(tmp_path / "site")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/redis-server").write_text(TOO_OLD)
    (tmp_path / "bin/redis-server").chmod(0o755)
    return tmp_path / "site"


@pytest.fixture
def env(site):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOOKMILL_")}
    return kept | {"PATH": f"{site.parent / 'bin'}:/bin/none", "HOOKMILL_DATA": str(site / "state")}


@pytest.fixture
def up(site, env, free_port):
    """A started `hookmill up` that is ready; its lines are in up.log."""
    with (site / "up.log").open("wb") as log:
        running = subprocess.Popen(
            [*HOOKMILL, "up", "--port", str(free_port), "--threads", "2"], cwd=site, env=env, stdout=log, stderr=log
        )
    until(lambda: (site / "state/up.json").exists() or running.poll() is not None, within=60)
    yield running
    while running.poll() is None:  # the second signal ends it at once, if the test did not end it in order
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(0.2)
        except subprocess.TimeoutExpired:
            continue


def test_without_a_new_enough_server_the_bundled_one_works_an_event_end_to_end(site, env, up):
    log = (site / "up.log").read_text()
    assert up.poll() is None, log
    assert (
        len(re.findall(r"^redis +· using the bundled Redis 6\.2\.\d+; 7\.0 or newer is better$", log, re.MULTILINE))
        == 1
    )
    with Redis.from_url(json.loads((site / "state/up.json").read_text())["redis_url"]) as redis:
        assert redis.info("server")["redis_version"].startswith("6.2.")
    sent = subprocess.run(
        [*HOOKMILL, "send", "blog", "example.json", "--json"],
        cwd=site,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    results = site / "results.jsonl"
    (line,) = until(lambda: results.exists() and results.read_text().splitlines())
    assert json.loads(line)["event_id"] in sent.stdout
    assert json.loads(line)["result"]["sentiment"] == "positive"
    up.send_signal(signal.SIGTERM)
    assert up.wait(40) == 0
