"""A real n8n of its own: loopback, SQLite, a fresh folder, nothing that phones home; ended by its process id."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import httpx
from n8n.install import Installed, install
from stack import until

from gateway.cli.embedded import free_port

if TYPE_CHECKING:
    from pathlib import Path

OWNER = "owner@example.com"
PASSWORD = "Owner-of-the-tests-1"
# bcrypt of PASSWORD, cost 10
PASSWORD_HASH = "$2a$10$cXLErFIUzbmf3HSrxcf7XuADU.ba4IvBbYs5Z5VU4qkR3l.k7Iv16"
OFF = (
    *("DIAGNOSTICS", "VERSION_NOTIFICATIONS", "VERSION_NOTIFICATIONS_WHATS_NEW", "TEMPLATES", "PERSONALIZATION"),
    *("DYNAMIC_BANNERS", "LICENSE_AUTO_RENEW", "COMMUNITY_PACKAGES"),
)
MODULES = "mcp-registry,mcp,instance-ai,agents,chat-hub,workflow-builder,insights"  # they call n8n's servers at start


class N8n:
    """`with N8n(folder) as n8n`: an n8n that answers; `kill()` and `start()` as often as a test likes."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder, self.installed = folder, install()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = environment(folder, self.port, self.installed) | more
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.kill()

    @property
    def command(self) -> list[str]:
        return list(self.installed.n8n)

    @property
    def cli_env(self) -> dict[str, str]:
        """For its command line beside the server: another port for the broker of the runners."""
        return self.env | {"N8N_RUNNERS_BROKER_PORT": str(free_port())}

    def start(self, *, wait=True) -> None:
        with (self.folder / "n8n.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "start"],
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        if wait:
            until(self.ready, within=120, every=0.2)

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-3000:]
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz/readiness", timeout=5, trust_env=False).status_code == 200
        return False

    def kill(self) -> None:
        """SIGKILL it and its runner, as a machine that loses power does."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """End it in good order."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)
        self.kill()

    def log(self) -> str:
        return (self.folder / "n8n.log").read_text(errors="replace")

    def memory(self) -> int:
        """Resident bytes of the server and its runner."""
        assert self.process is not None
        group = self.process.pid
        listed = subprocess.run(["ps", "-eo", "pgid=,rss="], capture_output=True, text=True, check=True).stdout
        return sum(int(rss) * 1024 for pgid, rss in map(str.split, listed.splitlines()) if int(pgid) == group)


def environment(folder: Path, port: int, installed: Installed) -> dict[str, str]:
    """What is fixed for every n8n of the tests; nothing that this machine says about another n8n gets in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("N8N_", "DB_", "OTEL_"))}
    return kept | {
        "PATH": f"{installed.node.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "NODE_ENV": "production",
        "N8N_USER_FOLDER": str(folder),
        "N8N_ENCRYPTION_KEY": "key-of-the-tests",
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_PORT": str(port),
        "N8N_RUNNERS_BROKER_PORT": str(free_port()),
        "N8N_WEBHOOK_URL": f"http://127.0.0.1:{port}/",
        "N8N_EDITOR_BASE_URL": f"http://127.0.0.1:{port}/",
        "N8N_SECURE_COOKIE": "false",
        "N8N_CONCURRENCY_PRODUCTION_LIMIT": "20",
        "N8N_WORKFLOW_PUBLICATION_RECONCILE_INTERVAL_SECONDS": "2",
        "N8N_INSTANCE_OWNER_MANAGED_BY_ENV": "true",
        "N8N_INSTANCE_OWNER_EMAIL": OWNER,
        "N8N_INSTANCE_OWNER_FIRST_NAME": "Ada",
        "N8N_INSTANCE_OWNER_LAST_NAME": "Owner",
        "N8N_INSTANCE_OWNER_PASSWORD_HASH": PASSWORD_HASH,
        "N8N_DISABLED_MODULES": MODULES,
        "GENERIC_TIMEZONE": "UTC",
        **{f"N8N_{name}_ENABLED": "false" for name in OFF},
    }
