"""`hookmill up` as a person runs it: one process to start, signals to end it, one folder that keeps everything."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.cli.faults import Fault
from gateway.cli.init import init
from gateway.cli.up import LONGEST_SOCKET, check_free, up
from gateway.settings import read_settings

UP = """
import asyncio, os, sys
from gateway.cli.up import up
from gateway.settings import read_settings

def show(note):
    print(note.part, note.text, flush=True)

settings = read_settings(os.environ)
sys.exit(asyncio.run(up(settings, host="127.0.0.1", port=int(sys.argv[1]), workers=1, threads=2, on_event=show)))
"""


class Site:
    """A folder with a fresh configuration in which `up` is run."""

    def __init__(self, folder: Path, port: int):
        init(folder)
        self.folder, self.data, self.port = folder, folder / "state", port
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("HOOKMILL_")}
        self.env |= {"HOOKMILL_DATA": str(self.data)}
        self.running: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        log = (self.folder / "up.log").open("a")
        command = [sys.executable, "-c", UP, str(self.port)]
        self.running = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log, text=True)
        log.close()
        self.until(lambda: self.ready_pid() == self.running.pid or self.running.poll() is not None)
        return self.running

    def ready_pid(self) -> int:
        path = self.data / "up.json"
        return json.loads(path.read_text())["pid"] if path.exists() else 0

    def until(self, true, within: float = 60) -> None:
        end = time.monotonic() + within
        while not true():
            assert time.monotonic() < end, (self.folder / "up.log").read_text()
            time.sleep(0.05)

    def cli(self, *words: str) -> str:
        command = [sys.executable, "-c", "from gateway.cli.main import main; main()", *words]
        return subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=True).stdout

    def log(self) -> str:
        return (self.folder / "up.log").read_text()

    def end(self) -> None:
        """End it at once: by the second signal, which must not melt into the first."""
        while self.running and self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
            time.sleep(0.1)


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for child in children for one in (child, *descendants(child))]


@pytest.fixture
def home(tmp_path, free_port):
    site = Site(tmp_path / "home", free_port)
    yield site
    site.end()


def test_an_event_is_worked_and_outlives_the_system(home):
    first = home.start()
    running = json.loads((home.data / "up.json").read_text())
    assert running["pid"] == first.pid
    assert running["url"] == f"http://127.0.0.1:{home.port}"
    home.cli("send", "blog", "example.json", "--id", "comment-1")
    home.until((home.folder / "results.jsonl").exists)
    first.send_signal(signal.SIGINT)
    assert first.wait(40) == 0
    assert not (home.data / "up.json").exists()
    assert "killed" not in home.log()

    home.start()
    again = home.cli("send", "blog", "example.json", "--id", "comment-1", "--json")
    assert '"duplicate": true' in again or '"duplicate":true' in again


def test_everything_ends_with_its_supervisor_and_the_next_one_finds_its_events(home):
    first = home.start()
    home.cli("send", "blog", "example.json", "--id", "comment-1")
    home.until((home.folder / "results.jsonl").exists)
    parts = descendants(first.pid)
    assert len(parts) == 7, "a tether each for Redis, the gateway and the worker, which has a master and a process"
    first.kill()
    first.wait()
    second = home.start()  # waits for the Redis that is still saving
    assert second.poll() is None
    assert home.cli("events", "list", "--json").count("evt_") >= 1
    home.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in parts))


def test_two_signals_end_everything_at_once(home):
    running = home.start()
    running.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    assert running.wait(5) == 130


def test_a_busy_port_is_said_in_one_line(free_port):
    with (
        socket.create_server(("127.0.0.1", free_port)),
        pytest.raises(Fault, match=f"port {free_port}: address already"),
    ):
        check_free("127.0.0.1", free_port)


def test_a_gateway_that_cannot_start_ends_up_with_a_reason(tmp_path, free_port):
    notes = []
    env = {**os.environ, "HOOKMILL_DATA": str(tmp_path / "state"), "HOOKMILL_CONFIG": str(tmp_path / "missing.toml")}
    running = up(
        read_settings(env), host="127.0.0.1", port=free_port, workers=1, threads=1, on_event=notes.append, env=env
    )
    with pytest.raises(Fault, match=r"^(gateway|worker) does not start"):
        asyncio.run(running)
    assert any("missing.toml" in note.text for note in notes if note.output)


def test_a_folder_too_deep_for_a_socket_gets_a_short_one(tmp_path, free_port):
    deep = tmp_path / ("deep" * (LONGEST_SOCKET // 4))
    site = Site(deep, free_port)
    try:
        site.start()
        url = json.loads((site.data / "up.json").read_text())["redis_url"]
        assert len(url.removeprefix("unix://")) <= LONGEST_SOCKET
    finally:
        site.end()
    assert not Path(url.removeprefix("unix://")).parent.exists()
