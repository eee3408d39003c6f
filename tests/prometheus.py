"""A real Prometheus that scrapes a stack: the gateway's admin listener, and each process at a port of its own."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from programs import find_program
from stack import until

from gateway.access import digest
from gateway.cli.embedded import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack import Stack

TOKEN = "hm_scrapes"


@contextmanager
def prometheus(stack: Stack, folder: Path, *, every: str = "1s") -> Iterator[str]:
    """Scrape a stack that was started with OTEL_METRICS_EXPORTER=prometheus; gives the URL."""
    stack.call(lambda ledger: ledger.put_token(digest(TOKEN), name="scrapes", scopes=("read",)))
    logs = [stack.log(name) for name in ("gateway", *(f"worker{number}" for number in range(len(stack.workers))))]
    ports = re.findall(r"http://127\.0\.0\.1:(\d+)/metrics", "".join(logs))
    jobs = [
        {"job_name": "ledger", "authorization": {"credentials": TOKEN}, **targets(stack.admin_port)},
        {"job_name": "processes", **targets(*ports)},
    ]
    port = free_port()
    (folder / "prometheus.yml").write_text(json.dumps({"global": {"scrape_interval": every}, "scrape_configs": jobs}))
    command = [find_program("prometheus", package="prometheus"), f"--config.file={folder}/prometheus.yml"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/-/ready"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def targets(*ports: int | str) -> dict[str, Any]:
    """Name what to scrape on this machine."""
    return {"static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}


def query(url: str, expr: str, **over: str) -> list[Any]:
    """Give the series of an expression; with `start`, `end` and `step` their values over that time."""
    way = "query_range" if over else "query"
    told = httpx.get(f"{url}/api/v1/{way}", params={"query": expr, **over}).json()
    assert told["status"] == "success", told
    found: list[Any] = told["data"]["result"]
    return found


def answers(url: str) -> bool:
    """Tell whether it answers 200."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
