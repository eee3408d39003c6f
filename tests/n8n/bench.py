"""500 results at once: Hookmill before n8n, with its cap of 10 at once, and n8n alone with a model behind it.

PYTHONPATH=tests python tests/n8n/bench.py            (make bench-n8n) about five minutes on two cores
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from fakes.model_server import says, serve
from n8n.conftest import private_redis
from n8n.place import Place
from n8n.receivers import Chat
from n8n.server import N8n
from stack import until

from gateway.n8n.deploy import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator

BURST = 500
MODEL_TAKES = 2.0
LONGEST = 600.0
VERDICT = {"sentiment": "neutral", "urgency": "low", "language": "en", "reason": "Says thanks."}


@contextmanager
def watched(n8n: N8n) -> Iterator[list[int]]:
    """Sample the memory of n8n twice a second; the list grows until the block ends."""
    samples, over = [n8n.memory()], threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            samples.append(n8n.memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def with_cap(folder: Path) -> dict[str, Any]:
    with (
        private_redis(folder / "redis") as redis,
        serve() as model,
        Place(folder / "place", redis, model_url=model.url) as place,
    ):
        model.default, model.latency = says(VERDICT), MODEL_TAKES
        place.push("error-catcher", "review-dead-letter", "alert-dead-letters", "alert-budget", "notify-result")
        place.stack.start_worker()
        began = time.monotonic()
        with watched(place.n8n) as memory:
            bodies = [json.dumps({"text": f"number {number}"}).encode() for number in range(BURST)]
            answers = asyncio.run(place.stack.burst(bodies))
            taken = time.monotonic() - began
            ids = [answer["event_id"] for _, answer in answers]
            until(lambda: len(place.chat.said) >= BURST, within=LONGEST, every=0.5)
            took = time.monotonic() - began
        counts = place.chat.counts(ids)
        tries = Counter(place.stack.show(one).deliveries[0].attempts for one in ids)
        return {
            "taken_s": taken,
            "took_s": took,
            "peak_mb": max(memory) / 1e6,
            "told": dict(counts),
            "failed": sum(tries.values()) - tries[0],
        }


def alone(folder: Path) -> dict[str, Any]:
    """Give what n8n does with the same on its own; its sender waits 30 s, as providers do at most."""
    chat = Chat()
    with N8n(folder, N8N_CONCURRENCY_PRODUCTION_LIMIT="-1") as n8n:
        line = CommandLine(command=tuple(n8n.command), env=n8n.cli_env)
        sent = json.dumps([workflow(chat)])
        line.run("import:workflow", "--input=/dev/stdin", sent=sent, expected="Successfully imported")
        line.run("publish:workflow", "--id=benchAlone", expected="Publishing")
        url = f"{n8n.url}/webhook/bench"
        until(lambda: "make a POST request" in httpx.get(url, trust_env=False).text, within=60)
        began = time.monotonic()
        with watched(n8n) as memory:
            statuses = asyncio.run(post_all(url))
            until(lambda: len(chat.said) >= statuses[200], within=LONGEST, every=0.5)
        took = time.monotonic() - began
    chat.stop()
    return {"took_s": took, "peak_mb": max(memory) / 1e6, "told": len(chat.said), "answers": dict(statuses)}


async def post_all(url: str) -> Counter[Any]:
    limits = httpx.Limits(max_connections=BURST)
    async with httpx.AsyncClient(timeout=30, trust_env=False, limits=limits) as client:

        async def one(number: int) -> Any:
            try:
                return (await client.post(url, json={"number": number})).status_code
            except httpx.HTTPError as error:
                return type(error).__name__

        return Counter(await asyncio.gather(*map(one, range(BURST))))


def workflow(chat: Chat) -> dict[str, Any]:
    """Webhook, answered when all is done -> a model that takes 2 s -> chat."""

    def node(name: str, kind: str, version: float, x: int, parameters: dict[str, Any]) -> dict[str, Any]:
        base = {"id": name, "name": name, "type": f"n8n-nodes-base.{kind}", "typeVersion": version}
        return base | {"position": [x, 0], "parameters": parameters, "webhookId": "bench"}

    def post(url: str, text: str) -> dict[str, Any]:
        body = {"sendBody": True, "contentType": "raw", "rawContentType": "application/json", "body": text}
        return {"method": "POST", "url": url, **body, "options": {"timeout": 120000}}

    text = "={{ JSON.stringify({ text: 'n ' + $('Webhook').item.json.body.number }) }}"
    nodes = [
        node("Webhook", "webhook", 2.1, 0, {"httpMethod": "POST", "path": "bench", "responseMode": "lastNode"}),
        node("Model", "httpRequest", 4.4, 224, post(f"{chat.url}/model", text)),
        node("Chat", "httpRequest", 4.4, 448, post(chat.channel("team"), text)),
    ]
    links = {
        one: {"main": [[{"node": two, "type": "main", "index": 0}]]}
        for one, two in (("Webhook", "Model"), ("Model", "Chat"))
    }
    settings = {"executionOrder": "v1", "saveDataSuccessExecution": "none"}
    whole = {"id": "benchAlone", "name": "bench", "nodes": nodes, "connections": links, "settings": settings}
    return whole | {"active": False, "pinData": {}, "tags": []}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for name, part in (("with our cap of 10", with_cap), ("n8n alone", alone)):
            place = Path(made) / part.__name__
            for inner in (place, place / "redis", place / "place"):
                inner.mkdir()
            print(f"{name}, {BURST} at once: {part(place)}", flush=True)
    sys.exit(0)
