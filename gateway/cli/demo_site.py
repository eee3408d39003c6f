"""The place where `hookmill demo` runs: a temporary folder with its own configuration, and the processes it starts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.cli.embedded import free_port
from gateway.cli.faults import Fault
from gateway.cli.init import whsec, write
from gateway.cli.tether import tethered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

SCHEMES = ("github", "stripe", "slack", "standard")
RISE = 30.0  # seconds until everything has to be ready
END = 12.0  # seconds that a process may take to end before it is asked more firmly

SOURCE = """
[sources.{name}]
scheme = "{name}"
secrets = ["file:secrets/{name}"]
pipeline = "comment-sentiment"
sinks = ["receiver"]
retry = {{ attempts = 5, first = "200ms", cap = "2s" }}
"""
LIMITED = """limit = "60/minute"
burst = 10
"""
SINK = """
[sinks.receiver]
kind = "webhook"
url = "{url}"
allow_private = true
secret = "file:secrets/receiver"
timeout = "5s"
circuit = {{ open_for = "400ms", ramp = "200ms" }}
retry = ["500ms", "1s", "2s", "4s"]
"""
MODELS = """\
model_list:
  - model_name: demo
    litellm_params: {{model: openai/lexicon-demo, api_base: "http://127.0.0.1:{port}/v1", api_key: unused, timeout: 5}}
  - model_name: lexicon
    litellm_params: {{model: local/lexicon}}
hookmill:
  aliases:
    fast: {{candidates: [demo, lexicon], deadline: 20s}}
  candidates:
    demo: {{max_concurrent: 8, circuit: {{failures: 3, window: 10s, open_for: 400ms}}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The demo's folder, the gateway's port, and the secrets of its sources and its receiver."""

    folder: Path
    port: int
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        """The folder of `hookmill up`."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the processes print."""
        return self.folder / "demo.log"

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Give the environment of the demo's processes: none of the user's HOOKMILL_* reaches them."""
        kept = {name: value for name, value in inherited.items() if not name.startswith("HOOKMILL_")}
        return kept | {
            "HOOKMILL_CONFIG": str(self.folder / "hookmill.toml"),
            "HOOKMILL_MODELS": str(self.folder / "models.yaml"),
            "HOOKMILL_DATA": str(self.state),
        }


def make_site(folder: Path) -> Site:
    """Choose a port and fresh secrets; nothing is written yet."""
    keys = {name: secrets.token_hex(20) for name in SCHEMES} | {"standard": whsec(), "receiver": whsec()}
    return Site(folder=folder, port=free_port(), secrets=keys)


def configure(site: Site, *, receiver: str, model_port: int) -> None:
    """Write hookmill.toml, models.yaml and the secrets."""
    sources = [SOURCE.format(name=name) + (LIMITED if name == "standard" else "") for name in SCHEMES]
    files = {
        site.folder / "hookmill.toml": "".join(sources) + SINK.format(url=receiver),
        site.folder / "models.yaml": MODELS.format(port=model_port),
    }
    write(files | {site.folder / "secrets" / name: secret for name, secret in site.secrets.items()})


@contextlib.asynccontextmanager
async def process(
    command: Sequence[str], *, site: Site, inherited: Mapping[str, str], read: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python COMMAND...` for as long as the block runs; it cannot outlive us. `read`: its stdout is a pipe."""
    with site.log.open("ab") as log:
        started = await asyncio.create_subprocess_exec(
            *tethered([sys.executable, *command], drain=timedelta(seconds=3 * END)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if read else log,
            stderr=log,
            env=site.environment(inherited),
            start_new_session=True,  # Ctrl-C is ours: we end it in good order
        )
    try:
        yield started
    finally:
        await _end(started)


async def _end(started: asyncio.subprocess.Process) -> None:
    """Ask it to end, then ask again, at which `hookmill up` ends its own processes at once; then kill it.

    A tether passes only its first SIGTERM on, so the second goes to the whole group.
    """
    again, kill = (partial(os.killpg, started.pid, number) for number in (signal.SIGTERM, signal.SIGKILL))
    for ask in (started.terminate, again, kill):
        with contextlib.suppress(ProcessLookupError):
            ask()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END):
                await started.wait()
                return


async def model_port(server: asyncio.subprocess.Process, site: Site) -> int:
    """Read the port that the model server prints first; Fault if it does not come up."""
    if server.stdout is None:
        raise Fault("the model server was started without a pipe")
    try:
        async with asyncio.timeout(RISE):
            return int(await server.stdout.readline())
    except (TimeoutError, ValueError):
        raise Fault(f"the demo's model server did not start: {last_line(site.log)}") from None


async def ready(up: asyncio.subprocess.Process, site: Site) -> dict[str, Any]:
    """Wait until `hookmill up` says that all is ready, and give its up.json; Fault if it ends or takes too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RISE):
            while up.returncode is None:
                with contextlib.suppress(FileNotFoundError):
                    return dict(json.loads((site.state / "up.json").read_text()))
                await asyncio.sleep(0.05)
    raise Fault(f"the demo's `hookmill up` did not start: {last_line(site.log)}")


def last_line(log: Path) -> str:
    """Give the last line that the processes printed."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "it printed nothing")
