"""What compose.yaml starts does start: its commands, with its environment, as plain processes on loopback ports."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from n8n.install import install
from n8n.server import environment
from stack import until

from gateway.cli.embedded import find_server, free_port

ROOT = Path(__file__).parents[2]
SECRETS = {
    "HOOKMILL_SIGNING_KEY": "of-the-tests",
    "N8N_ENCRYPTION_KEY": "of-the-tests",
    "GRAFANA_PASSWORD": "of-the-tests",
}
ENV_FILE = {"BLOG_SECRET": "whsec_" + "Q0FOQVJZ" * 4}  # what .env has for hookmill.toml


def said(value: Any) -> str:
    """Fill ${NAME:?…} and ${NAME:-default}, as compose does."""
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: SECRETS[found[1]], str(value))
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture
def start(tmp_path):
    """Start a service by its name: `start("gateway", {"redis:6379": "127.0.0.1:1234"}, program=[…])`."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name in ("hookmill.toml", "models.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    running: list[subprocess.Popen[bytes]] = []

    def run(name, replaced, program, *more, base=None):
        service = services[name]

        def placed(value):
            for old, new in replaced.items():
                value = value.replace(old, new)
            return value

        env = {key: placed(said(value)) for key, value in service.get("environment", {}).items()}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HOOKMILL_", "OTEL_", "N8N_"))}
        files = ENV_FILE if "env_file" in service else {}
        command = [*program, *(placed(str(one)) for one in service.get("command", [])), *more]
        log = (tmp_path / f"{name}.log").open("wb")
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=(base or kept) | files | env | {"HOOKMILL_DATA": str(tmp_path)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        running.append(process)
        check = [placed(str(one)) for one in service["healthcheck"]["test"][1:]]
        return process, partial(healthy, process, check, tmp_path / f"{name}.log")

    yield run
    for process in reversed(running):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def healthy(process, check, log) -> bool:
    """Carry out the check of the service."""
    assert process.poll() is None, log.read_text()[-2000:]
    check = [part.replace("/proc/1/task/1/", f"/proc/{process.pid}/task/{process.pid}/") for part in check]
    if check[0] == "wget":
        with suppress(httpx.TransportError):
            return httpx.get(check[-1], trust_env=False, timeout=5).status_code == 200
        return False
    program = {"python": sys.executable}.get(check[0], check[0])
    return subprocess.run([program, *check[1:]], capture_output=True, timeout=20, check=False).returncode == 0


def test_redis_the_gateway_and_a_worker_start_and_are_healthy(start, tmp_path):
    redis, port = free_port(), free_port()
    server = find_server().path
    moved = {"valkey-server": server}
    process, _ = start("redis", moved, [], "--port", str(redis), "--bind", "127.0.0.1", "--dir", str(tmp_path))
    at = {"redis:6379": f"127.0.0.1:{redis}", "0.0.0.0": "127.0.0.1", "8420": str(port)}
    hookmill = [sys.executable, "-m", "gateway.cli.main"]
    _, gateway = start("gateway", at, hookmill, "--port", str(port), "--admin-port", str(free_port()))
    _, worker = start("worker", at, hookmill)
    assert process.poll() is None
    until(gateway, within=60, every=0.5)
    until(worker, within=60, every=0.5)


def test_n8n_starts_and_is_healthy(start, tmp_path):
    installed, port = install(), free_port()
    (tmp_path / "n8n").mkdir()
    kept = environment(tmp_path / "n8n", port, installed)
    base = {name: kept[name] for name in ("PATH", "HOME", "N8N_USER_FOLDER", "N8N_PORT", "N8N_LISTEN_ADDRESS")}
    base |= {"N8N_RUNNERS_BROKER_PORT": str(free_port())}
    at = {"5678": str(port), "otel-collector:4318": "127.0.0.1:9"}
    _, check = start("n8n", at, [*installed.n8n, "start"], base=base)
    until(check, within=120, every=0.5)
