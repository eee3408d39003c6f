"""Services of compose.yaml as plain processes: its commands, its environment, its files.

Each service has a loopback address of its own, which stands for its name and for its 0.0.0.0. One that listens on
127.0.0.1 only is therefore out of the others' reach, as it would be in its container.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[1]
HOOKMILL = (sys.executable, "-m", "gateway.cli.main")
SECRETS = {
    "HOOKMILL_SIGNING_KEY": "of-the-tests",
    "N8N_ENCRYPTION_KEY": "of-the-tests",
    "GRAFANA_PASSWORD": "of-the-tests",
}
ENV_FILE = {"BLOG_SECRET": "whsec_" + "Q0FOQVJZ" * 4}  # what .env has for hookmill.toml
THEIRS = ("HOOKMILL_", "OTEL_", "N8N_")
HOME = "var/lib/hookmill"  # where our image begins


@cache
def compose() -> dict[str, Any]:
    """Read compose.yaml."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return read


def address(name: str) -> str:
    """Give the address of a service; each is loopback, and nobody else's."""
    return f"127.0.84.{1 + list(compose()['services']).index(name)}"


def placed(value: Any, own: str) -> str:
    """Fill ${NAME:?…} and ${NAME:-default} as compose does, and put addresses in the place of names."""
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: SECRETS[found[1]], str(value))
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    for name in compose()["services"]:
        text = re.sub(rf"(?<![\w-]){name}(?=:\d)", address(name), text)
    return text.replace("0.0.0.0", address(own))


class Composed:
    """`with Composed(folder) as composed: process, healthy = composed.start("gateway", program)`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def start(
        self, name: str, program: Sequence[str], *more: str, named: int = 0, env: Mapping[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], Callable[[], bool]]:
        """Start a service with its command after that program; gives what tells whether it is healthy.

        `named` words of the command name the program itself. `env`, or else ours, stands under the service's own.
        """
        service = compose()["services"][name]
        files = self._files(name, service)
        words = [self._inside(name, placed(one, name), files) for one in service.get("command", [])][named:]
        base = {key: value for key, value in os.environ.items() if not key.startswith(THEIRS)} if env is None else env
        more_env = ENV_FILE if "env_file" in service else {}
        said = {key: placed(value, name) for key, value in service.get("environment", {}).items()}
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*program, *words, *more],
                cwd=self._root(name) / HOME,
                env={**base, **more_env, **said, "HOOKMILL_DATA": str(self._root(name) / HOME)},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._running.append(process)
        check = [placed(one, name) for one in service["healthcheck"]["test"][1:]]
        check = [self._inside(name, one.replace("127.0.0.1", address(name)), files) for one in check]
        return process, partial(healthy, process, check, program[0], log)

    def _root(self, name: str) -> Path:
        return self.folder / name

    def _files(self, name: str, service: Mapping[str, Any]) -> list[str]:
        """Lay what is mounted from the project and from `configs` under a root of its own; gives the paths inside."""
        contents = {
            one["target"]: placed(compose()["configs"][one["source"]]["content"], name)
            for one in service.get("configs", [])
        }
        mounts = [volume.split(":") for volume in service.get("volumes", []) if volume.startswith("./")]
        contents |= {target: (ROOT / source).read_text() for source, target, *_ in mounts if (ROOT / source).is_file()}
        (self._root(name) / HOME).mkdir(parents=True)
        for target, text in contents.items():
            path = self._root(name) / target.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [*contents, *(volume.split(":")[1] for volume in service.get("volumes", []))]

    def _inside(self, name: str, text: str, files: Sequence[str]) -> str:
        whole = "|".join(map(re.escape, files)) or "(?!)"
        return re.sub(rf"(?<![^=])({whole})", lambda found: f"{self._root(name)}{found[1]}", text)


def healthy(process: subprocess.Popen[bytes], check: Sequence[str], program: str, log: Path) -> bool:
    """Carry out the check of a service."""
    assert process.poll() is None, log.read_text(errors="replace")[-2000:]
    check = [part.replace("/proc/1/task/1/", f"/proc/{process.pid}/task/{process.pid}/") for part in check]
    if check[0] == "wget":
        with suppress(httpx.TransportError):
            return httpx.get(check[-1], trust_env=False, timeout=5, follow_redirects=True).status_code == 200
        return False
    ours = {"python": sys.executable, "/otelcol-contrib": program}.get(check[0], check[0])
    return subprocess.run([ours, *check[1:]], capture_output=True, timeout=20, check=False).returncode == 0
