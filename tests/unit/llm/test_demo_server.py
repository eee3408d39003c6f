"""The demonstration server: its own process, OpenAI's protocol, faults on schedule."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest
from fakes.models import candidate

from actors.llm import provider
from actors.llm.demo_server import Faults

SECOND = timedelta(seconds=1)
BODY = {"model": "demo", "messages": [{"role": "user", "content": "This is wonderful."}]}


@contextmanager
def started(*arguments):
    """Run the server; gives its address without /v1."""
    command = [sys.executable, "-m", "actors.llm.demo_server", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        address = f"http://127.0.0.1:{int(process.stdout.readline())}"
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                httpx.get(f"{address}/stats")
                break
            except httpx.TransportError:
                time.sleep(0.02)
        yield address
        process.terminate()


def test_faults_come_by_the_number_of_the_call():
    with started("--fail-every", "3", "--empty-every", "4", "--burst-at", "6", "--burst", "2") as address:
        answers = [httpx.post(f"{address}/v1/chat/completions", json=BODY) for _ in range(9)]
        stats = httpx.get(f"{address}/stats").json()
    assert [answer.status_code for answer in answers] == [200, 200, 500, 200, 200, 503, 503, 200, 500]
    assert [len(answer.json().get("choices", "x")) for answer in answers] == [1, 1, 1, 0, 1, 1, 1, 0, 1]
    assert stats == {"calls": 9, "max_concurrent": 1, "statuses": {"200": 5, "500": 2, "503": 2}}


def test_above_its_most_calls_at_once_it_answers_429():
    faults = Faults(max_concurrent=2)
    assert [faults.status(1, now_in=now_in) for now_in in (1, 2, 3)] == [200, 200, 429]


@pytest.mark.anyio
@pytest.mark.usefixtures("prepared")
async def test_litellm_takes_it_for_openai(fake):
    schema = {"type": "object", "properties": {"sentiment": {"enum": ["positive", "negative"]}}}
    with started("--latency", "0.01") as address:
        demo = candidate(fake, "demo", params={"api_base": f"{address}/v1"})
        reply = await provider.call(demo, BODY["messages"], schema=schema, timeout=5 * SECOND)
    assert (reply.text, reply.model, reply.degraded) == ('{"sentiment": "positive"}', "lexicon-demo", False)
