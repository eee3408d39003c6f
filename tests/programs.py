"""Programs that tests start and Python cannot install: `.ci/setup tests` does, or says what is missing."""

from __future__ import annotations

import os
import shutil


def find_program(*names: str, package: str) -> str:
    """Give the path of the first of these that this machine has; raises FileNotFoundError with what to install."""
    places = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
    found = [path for name in names if (path := shutil.which(name, path=places))]
    if not found:
        raise FileNotFoundError(f"no {' or '.join(names)} on PATH; install it: apt-get install {package}")
    return found[0]
