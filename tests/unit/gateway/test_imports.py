"""What the gateway process must never load."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"litellm", "openai", "actors", "dramatiq", "httpx", "typer", "rich", "numpy"}


def test_the_gateway_imports_nothing_heavy():
    code = "import sys, gateway.serve; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
