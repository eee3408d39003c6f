"""What compose.yaml starts does start, and the others reach it where they look for it."""

from __future__ import annotations

import httpx
import pytest
from composed import HOOKMILL, Composed, address
from stack import until

from gateway.cli.embedded import find_server


@pytest.fixture
def composed(tmp_path):
    with Composed(tmp_path) as running:
        yield running


def test_redis_the_gateway_and_a_worker_start_and_are_healthy(composed):
    process, _ = composed.start("redis", [find_server().path], "--bind", address("redis"), named=1)
    _, gateway = composed.start("gateway", HOOKMILL)
    _, worker = composed.start("worker", HOOKMILL)
    assert process.poll() is None
    until(gateway, within=60, every=0.5)
    until(worker, within=60, every=0.5)
    assert httpx.post(f"http://{address('gateway')}:8420/hooks/blog", content=b"{}", trust_env=False).status_code == 401
    assert httpx.get(f"http://{address('gateway')}:8421/dead", trust_env=False).status_code == 401
