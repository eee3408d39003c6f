"""500 results at once: Hookmill before n8n, with its cap of 10 at once, and n8n alone with a model behind it.

`make bench-n8n`, about five minutes on two cores; with ARGS=--readme the table goes into n8n-workflows/README.md.
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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from bench.gateway.tables import markdown, setting, write_between
from fakes.model_server import says, serve
from n8n.conftest import private_redis
from n8n.place import WORKFLOWS, Place
from n8n.receivers import Chat
from n8n.server import N8n
from stack import until

from gateway.n8n.deploy import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator

BURST = 500
MODEL_TAKES = 2.0
SETTLED = 20.0  # seconds without a message, after which none comes any more
BEGIN, END = "<!-- bench-n8n -->", "<!-- /bench-n8n -->"
VERDICT = {"sentiment": "neutral", "urgency": "low", "language": "en", "reason": "Says thanks."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What came of 500 results; seconds, bytes.

    `answers` are what their senders heard; `told` says of how many so many messages came to the chat; `failed` are
    deliveries to n8n that took more than one attempt.
    """

    answers: dict[Any, int]
    told: dict[int, int]
    failed: int
    took: float
    memory_before: int
    memory_most: int


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


def with_cap(folder: Path) -> Burst:
    """Send the events to Hookmill, whose worker asks the model and delivers at most 10 at once."""
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
            answers = asyncio.run(place.stack.burst(bodies, at_once=BURST))
            ids = [answer["event_id"] for _, answer in answers]
            settle(place.chat)
        return Burst(
            answers=dict(Counter(status for status, _ in answers)),
            told=dict(place.chat.counts(ids)),
            failed=sum(place.stack.show(one).deliveries[0].attempts > 0 for one in ids),
            took=place.chat.said[-1].at - began,
            memory_before=memory[0],
            memory_most=max(memory),
        )


def alone(folder: Path) -> Burst:
    """Send the same to n8n, without a limit of its own; the sender waits 30 s, as providers do at most."""
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
            settle(chat)
    chat.stop()
    return Burst(
        answers=dict(statuses),
        told=dict(chat.counts([f"n {number}." for number in range(BURST)])),
        failed=0,
        took=chat.said[-1].at - began,
        memory_before=memory[0],
        memory_most=max(memory),
    )


def settle(chat: Chat) -> None:
    """Wait until nothing comes any more."""
    seen = -1
    while len(chat.said) > seen:
        seen = len(chat.said)
        threading.Event().wait(SETTLED)


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

    text = "={{ JSON.stringify({ text: 'n ' + $('Webhook').item.json.body.number + '.' }) }}"
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


def table(capped: Burst, uncapped: Burst) -> str:
    """Give both, and what they were made with."""
    both = (capped, uncapped)
    rows = [
        [f"{BURST} at once, a model of {MODEL_TAKES:.0f} s", "Hookmill before n8n, 10 at once", "n8n alone"],
        ["answers to the senders", *(counted(one.answers) for one in both)],
        ["told, of these twice", *(f"{BURST - one.told.get(0, 0)}, {one.told.get(2, 0)}" for one in both)],
        ["posts to n8n that failed at first", f"{capped.failed}", ""],
        ["the last told after", *(f"{one.took:.0f} s" for one in both)],
        ["n8n's memory before", *(f"{one.memory_before / 1e6:,.0f} MB" for one in both)],
        ["n8n's memory at most", *(f"{one.memory_most / 1e6:,.0f} MB" for one in both)],
    ]
    return f"{markdown(rows)}\n\n{setting('n8n 2.41.1')}"


def counted(answers: dict[Any, int]) -> str:
    """Say how many there were of each."""
    return ", ".join(f"{count} x {answer}" for answer, count in answers.items())


def main() -> None:
    found = []
    with tempfile.TemporaryDirectory() as made:
        for part in (with_cap, alone):
            folder = Path(made) / part.__name__
            for inner in (folder, folder / "redis", folder / "place"):
                inner.mkdir()
            print(f"{BURST} at once: {part.__name__}", file=sys.stderr, flush=True)
            found.append(part(folder))
    text = table(*found)
    print(text)
    if "--readme" in sys.argv:
        write_between(WORKFLOWS / "README.md", text, begin=BEGIN, end=END)


if __name__ == "__main__":
    main()
