"""A real Chromium without a window, driven over a pipe by its own protocol; it speaks to this machine alone.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from programs import find_program

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",  # which root cannot have; the pages are our own
    "--hide-scrollbars",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)


def move(fd: int) -> int:
    """Move a descriptor out of the way of 3 and 4, at which the browser looks for its ends of the pipes."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return moved


class Browser:
    """One page of a browser that ends with its block; `complaints` is what the page said on its console."""

    def __init__(self, folder: Path) -> None:
        names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
        program = find_program(*names, package="chromium-headless-shell")
        read, self._write = (move(fd) for fd in os.pipe())
        self._read, write = (move(fd) for fd in os.pipe())
        command = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                ["bash", "-c", f'exec "$0" "$@" 3<&{read} 4>&{write}', *command],
                pass_fds=(read, write),
                stdout=said,
                stderr=said,
                env={**os.environ, "HOME": str(folder)},
            )
        os.close(read)
        os.close(write)
        self._numbers, self._rest, self._session = count(1), b"", ""
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol, and give its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        sent = message | ({"sessionId": self._session} if self._session else {})
        os.write(self._write, json.dumps(sent).encode() + b"\0")
        while True:
            answer = self._hear()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str) -> None:
        """Go to an address, and wait until it is there."""
        self.call("Page.navigate", url=url)
        self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """Give the value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str, *, within: float = 20.0) -> Any:
        """Wait until an expression in the page is true, and give its value."""
        end = time.monotonic() + within
        while not (found := self.run(expression)):
            assert time.monotonic() < end, f"{expression}\n{self.run('document.documentElement.outerHTML')}"
            time.sleep(0.05)
        return found

    def look(self, *, width: int, dark: bool = False, scripts: bool = True) -> None:
        """Be a screen of that width, of that colour scheme, with or without scripts."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)

    def picture(self, path: Path) -> None:
        """Save a picture of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], 30)
            part = os.read(self._read, 1 << 20) if ready else b""
            assert part, "the browser says nothing"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        heard: dict[str, Any] = json.loads(text)
        if heard.get("method") in {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
            self.complaints.append(json.dumps(heard["params"]))
        return heard
