"""The gateway as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from served import CONFIG, SECRETS, request_bytes, signed_headers

MOST_RESIDENT = 68_000  # KiB (70 MB), idle; some 54,000 measured


@pytest.fixture
def environment(tmp_path, redis_url):
    (tmp_path / "hookmill.toml").write_text(CONFIG)
    return {
        "PATH": os.environ["PATH"],
        "HOOKMILL_REDIS_URL": redis_url,
        "HOOKMILL_CONFIG": str(tmp_path / "hookmill.toml"),
        "HOOKMILL_DATA": str(tmp_path),
        "HOOKMILL_SIGNING_KEY": "k",
        **{name.upper(): value for name, value in SECRETS.items()},
    }


def start(environment, *arguments):
    command = [sys.executable, "-m", "gateway.serve", "--port", "0", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def refused(environment, *arguments):
    process = start(environment, *arguments)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1), err
    return err


@pytest.fixture
def process(environment):
    process = start(environment)
    yield process
    process.kill()
    process.communicate()


def port_of(process):
    return int(re.search(r":(\d+)$", process.stderr.readline().strip())[1])


def test_it_serves_little_memory_and_ends_on_a_signal_after_what_is_in_flight(process):
    port = port_of(process)
    assert httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert int(re.search(r"VmRSS:\s+(\d+)", status)[1]) < MOST_RESIDENT
    body = b'{"a":1}'
    headers = signed_headers(body) | {"content-length": str(len(body))}
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(request_bytes("/hooks/demo", headers))
        assert httpx.get(f"http://127.0.0.1:{port}/live").status_code == 200
        process.send_signal(signal.SIGTERM)
        client.sendall(body)
        assert client.recv(65536).startswith(b"HTTP/1.1 202")
    assert process.wait(15) in {0, -signal.SIGTERM}


def test_what_became_of_a_request_is_one_line_on_stderr(process):
    url = f"http://127.0.0.1:{port_of(process)}/hooks/demo"
    body = b'{"canary":"in-a-body"}'
    headers = signed_headers(body)
    accepted = httpx.post(url, content=body, headers=headers).json()
    assert httpx.post(url, content=body + b" ", headers=headers).status_code == 401
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=15)
    first, second = [json.loads(line) for line in err.splitlines()]
    assert (first["event"], first["event_id"], first["source"]) == ("event.accepted", accepted["event_id"], "demo")
    assert (first["size"], first["duplicate"], len(first["trace_id"])) == (len(body), False, 32)
    assert (second["event"], second["code"], second["status"]) == ("event.rejected", "signature_invalid", 401)
    assert "in-a-body" not in err
    assert headers["webhook-signature"] not in err


def test_an_unreachable_redis_is_one_line_and_exit_2(environment, free_port):
    where = f"127.0.0.1:{free_port}/0"
    err = refused(environment | {"HOOKMILL_REDIS_URL": f"redis://user:hunter2@{where}"})
    assert where in err
    assert "hunter2" not in err


def test_a_configuration_error_is_one_line_and_exit_2(environment):
    assert "OTHER" in refused({name: value for name, value in environment.items() if name != "OTHER"})


def test_a_status_link_without_a_signing_key_is_one_line_and_exit_2(environment):
    without = {name: value for name, value in environment.items() if name != "HOOKMILL_SIGNING_KEY"}
    assert "sources.asker.reply" in refused(without)


def test_a_port_that_is_taken_is_one_line_and_exit_2(environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in refused(environment, "--port", str(port))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_admin_listener_has_an_address_of_its_own_and_ends_with_the_gateway(environment, processes):
    process = start(environment, "--admin-host", "127.0.0.2", "--admin-port", "0", "--processes", processes)
    public, admin = port_of(process), port_of(process)
    assert httpx.get(f"http://127.0.0.1:{public}/dead").status_code == 404
    for _ in range(4):
        assert httpx.get(f"http://127.0.0.2:{admin}/dead", timeout=20).status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{admin}/dead", timeout=20)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert (process.returncode in {0, -signal.SIGTERM}, err) == (True, "")


def test_an_admin_port_that_is_taken_is_said_and_keeps_no_webhook_out(environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        process = start(environment, "--admin-port", str(number))
        assert f"no admin listener: cannot listen at 127.0.0.1:{number}" in process.stderr.readline()
        public = port_of(process)
        assert (
            httpx.post(
                f"http://127.0.0.1:{public}/hooks/demo", content=b"{}", headers=signed_headers(b"{}")
            ).status_code
            == 202
        )
        process.kill()
        process.communicate()
