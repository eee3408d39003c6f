from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from gateway.cli.embedded import free_port


@pytest.fixture
def gateway(site, environment):
    """`hookmill gateway` for the fresh configuration."""
    port, log = free_port(), site / "gateway.log"
    with log.open("wb") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", "gateway", "--port", str(port)],
            cwd=site,
            env=environment,
            stderr=said,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/ready"), running, log)
        yield url
    finally:
        running.terminate()
        running.wait(20)


def wait_until(true, running, log, *, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def answers(url):
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def test_send_posts_what_the_gateway_accepts(hookmill, gateway):
    code, out, _ = hookmill("send", "blog", "example.json", "--url", gateway)
    assert code == 0
    status, state, event_id, *hint = out.split()
    assert (status, state) == ("202", "queued")
    assert hint == ["hookmill", "events", "show", event_id]
    assert json.loads(hookmill("events", "show", event_id, "--json")[1])["source"] == "blog"


def test_the_same_id_twice_is_a_duplicate(hookmill, gateway):
    code, out, _ = hookmill("send", "blog", "-", "--id", "a1", "--count", "2", "--url", gateway, "--json", stdin="{}")
    first, second = json.loads(out)
    assert code == 0
    assert (first["status"], second["status"]) == (202, 200)
    assert first["answer"]["event_id"] == second["answer"]["event_id"]


def test_fresh_ids_are_fresh_events(hookmill, gateway):
    _, out, _ = hookmill("send", "blog", "example.json", "--count", "3", "--url", gateway, "--json")
    assert len({answer["answer"]["event_id"] for answer in json.loads(out)}) == 3


def test_a_refusal_is_exit_code_1_with_its_reason(hookmill, gateway, site):
    (site / "secrets" / "blog").write_text((site / "secrets" / "n8n").read_text())
    code, out, _ = hookmill("send", "blog", "example.json", "--url", gateway)
    assert code == 1
    assert out.startswith("401 signature_invalid: ")


def test_a_silent_gateway_is_told_as_such(hookmill, site):
    assert site.is_dir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, out, err = hookmill("send", "blog", "example.json", "--url", url, "--timeout", "0.3")
    assert (code, out) == (2, "")
    assert f"no answer from {url} in time" in err


def left_behind(folder):
    """Command lines of the processes whose environment or command names this folder."""
    return [said for process in Path("/proc").glob("[0-9]*") if str(folder).encode() in (said := words_of(process))]


def words_of(process):
    try:
        return (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def demo(environment, tmp_path):
    """`hookmill demo`, with the test's folder as the place for temporary files."""
    place = tmp_path / "t"
    place.mkdir()
    running = subprocess.Popen(
        [sys.executable, "-u", "-m", "gateway.cli.main", "demo"],
        cwd=tmp_path,
        env=environment | {"TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield running, place
    if running.poll() is None:
        running.kill()
        running.wait(5)
    running.stdout.close()
    running.stderr.close()


def test_the_demo_keeps_every_promise(demo):
    running, place = demo
    out, err = running.communicate(timeout=90)
    assert running.returncode == 0, out + err
    assert "All promises kept" in out
    assert out.count("✓") == 5
    assert max(map(len, out.splitlines())) <= 100
    assert list(place.iterdir()) == []
    assert left_behind(place) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_leaves_nothing_behind(demo, number, code):
    running, place = demo
    for line in running.stdout:
        if line.startswith("ready after"):
            break
    assert left_behind(place) != []
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert "Traceback" not in err, err
    assert running.returncode == code, out + err
    assert list(place.iterdir()) == []
    assert left_behind(place) == []
