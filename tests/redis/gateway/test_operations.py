"""The gateway as ops run it: drained, reloaded, and as several processes behind one port."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from served import BODY, PARSERS, SECRETS, read_answer, request_bytes, signed_headers

CONFIG = """
[gateway]
notice = "600ms"

[sources.demo]
scheme = "standard"
secrets = ["file:demo.secret"]
pipeline = "comment-sentiment"
"""
MORE = """
[sources.more]
scheme = "standard"
secrets = ["file:demo.secret"]
pipeline = "comment-sentiment"
"""


class Running:
    """A gateway started as a command, and what it said so far."""

    def __init__(self, folder, redis_url, *arguments):
        self.folder = folder
        self.write(CONFIG)
        (folder / "demo.secret").write_text(SECRETS["demo"])
        env = {
            "PATH": os.environ["PATH"],
            "HOOKMILL_REDIS_URL": redis_url,
            "HOOKMILL_CONFIG": str(folder / "hookmill.toml"),
            "HOOKMILL_DATA": str(folder),
        }
        command = [sys.executable, "-m", "gateway.serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        self.port = int(re.search(r":(\d+)$", self.process.stderr.readline().strip())[1])
        self.said = []
        self.listening = threading.Thread(target=self._listen, daemon=True)
        self.listening.start()
        self.url = f"http://127.0.0.1:{self.port}"
        until(lambda: self.status("/ready") == 200)

    def _listen(self):
        for line in self.process.stderr:
            if '"event":"event.' not in line:  # one such line per webhook
                self.said.append(line)

    def write(self, config):
        (self.folder / "hookmill.toml").write_text(config)

    def reload(self):
        """Ask it to read its configuration again, and wait until it says what came of it."""
        lines = len(self.said)
        self.process.send_signal(signal.SIGHUP)
        until(lambda: len(self.said) > lines)
        return self.said[lines]

    def status(self, path):
        try:
            return httpx.get(self.url + path, timeout=5).status_code
        except httpx.TransportError:
            return 0

    def post(self, source="demo", secret=SECRETS["demo"]):
        headers = signed_headers(secret=secret)
        return httpx.post(f"{self.url}/hooks/{source}", content=BODY, headers=headers, timeout=5)

    def children(self):
        return [
            int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(15)
        finally:
            self.process.kill()
            self.process.wait()
            self.listening.join(5)
            self.process.stderr.close()


def until(true, *, within=10.0):
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def run(tmp_path, redis_url):
    started = []

    def begin(*arguments):
        started.append(Running(tmp_path, redis_url, *arguments))
        return started[-1]

    yield begin
    for one in started:
        one.end()


@pytest.mark.parametrize("http", PARSERS)
def test_told_to_stop_it_says_so_first_while_it_still_takes_events(run, http):
    gateway = run("--http", http)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(request_bytes("/hooks/demo", signed_headers() | {"content-length": str(len(BODY))}))
        time.sleep(0.1)
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: gateway.status("/ready") == 503, within=0.5)
        assert httpx.get(gateway.url + "/ready").json() == {"status": "leaving"}
        assert gateway.post().status_code == 202
        until(lambda: gateway.status("/live") == 0, within=2)
        client.sendall(BODY)
        assert read_answer(client).status == 202
    assert gateway.process.wait(5) in {0, -signal.SIGTERM}
    assert gateway.said == []


def test_a_second_signal_does_not_wait_for_the_notice(run):
    gateway = run()
    gateway.write(CONFIG.replace("600ms", "1h"))
    assert "configuration reloaded: 1 sources" in gateway.reload()
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: gateway.status("/ready") == 503)
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(5) in {0, -signal.SIGTERM}


def test_a_reload_takes_new_sources_and_secrets_into_use_and_lets_removed_ones_go(run):
    gateway = run()
    assert gateway.post("more").status_code == 401
    gateway.write(CONFIG + MORE)
    gateway.reload()
    assert gateway.post("more").status_code == 202
    (gateway.folder / "demo.secret").write_text(SECRETS["other"])
    gateway.reload()
    assert gateway.post().status_code == 401
    assert gateway.post(secret=SECRETS["other"]).status_code == 202
    gateway.write(CONFIG)
    gateway.reload()
    assert gateway.post("more", secret=SECRETS["other"]).status_code == 401


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_broken_configuration_is_refused_in_one_line_and_the_old_one_stays(run, processes):
    gateway = run("--processes", processes)
    gateway.write(CONFIG.replace("pipeline", "pipelin") + "[sources.x]\n")
    line = gateway.reload()
    assert "configuration not reloaded, the old one stays" in line
    assert "did you mean 'pipeline'?" in line
    time.sleep(0.3)
    assert gateway.said == [line]
    assert gateway.post().status_code == 202
    gateway.write(CONFIG + MORE)
    gateway.reload()
    until(lambda: all(gateway.post("more").status_code == 202 for _ in range(5)))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_reloads_under_load_drop_no_request(run, processes):
    gateway = run("--processes", processes)
    statuses, over = [], threading.Event()

    def send():
        with httpx.Client(base_url=gateway.url, timeout=5) as client:
            while not over.is_set():
                statuses.append(client.post("/hooks/demo", content=BODY, headers=signed_headers()).status_code)

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    reloads = 0
    while reloads < 6 or (len(statuses) <= 20 and reloads < 200):
        gateway.write(CONFIG + (MORE if reloads % 2 else ""))
        gateway.reload()
        time.sleep(0.05)
        reloads += 1
    over.set()
    for sender in senders:
        sender.join(10)
    assert len(statuses) > 20
    assert set(statuses) == {202}


def test_several_processes_share_the_port_and_a_dead_one_is_replaced(run):
    gateway = run("--processes", "3")
    until(lambda: len(gateway.children()) == 3)
    first = gateway.children()
    os.kill(first[0], signal.SIGKILL)
    until(lambda: len(gateway.children()) == 3 and first[0] not in gateway.children())
    assert {gateway.post().status_code for _ in range(20)} == {202}
    assert ["a gateway process ended (-9)" in line for line in gateway.said] == [True]


def test_all_processes_end_with_a_signal_to_their_parent(run):
    gateway = run("--processes", "2")
    children = gateway.children()
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: gateway.status("/ready") in {503, 0})
    assert gateway.process.wait(10) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_processes_whose_parent_was_killed_end_too(run):
    gateway = run("--processes", "2")
    children = gateway.children()
    gateway.process.kill()
    until(lambda: not any(alive(pid) for pid in children))
    assert gateway.status("/live") == 0


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
