"""The n8n of compose.yaml starts, with its environment."""

from __future__ import annotations

from composed import Composed, address
from n8n.install import install
from n8n.server import environment
from stack import until

from gateway.cli.embedded import free_port

KEPT = ("PATH", "HOME", "N8N_USER_FOLDER")  # what the image has in other places


def test_n8n_starts_and_is_healthy(tmp_path):
    installed = install()
    here = environment(tmp_path / "n8n", free_port(), installed)
    base = {name: here[name] for name in KEPT} | {"N8N_LISTEN_ADDRESS": address("n8n")}
    base |= {"N8N_RUNNERS_BROKER_PORT": str(free_port())}
    with Composed(tmp_path) as composed:
        _, healthy = composed.start("n8n", [*installed.n8n, "start"], env=base)
        until(healthy, within=120, every=0.5)
