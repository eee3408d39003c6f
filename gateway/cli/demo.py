"""`hookmill demo`: everything Hookmill promises, shown and checked on this machine in under a minute.

It runs `hookmill up` with a configuration of its own in a temporary folder, a model server that fails now and then, and
a receiver that is down now and then; posts events as four providers sign them; and checks what became of each.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli import demo_report, opening, render
from gateway.cli.demo_events import make_posts
from gateway.cli.demo_receiver import Inbox, Receiver
from gateway.cli.demo_report import Outcome
from gateway.cli.demo_site import Site, configure, make_site, model_port, process, ready
from gateway.cli.send import Answer, answer_of, with_media_type
from gateway.ledger import Ledger, open_ledger
from gateway.verify import SCHEMES, sign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from gateway.cli.demo_events import Post
    from gateway.ledger import WorkView

MODEL_SERVER = (
    "-m",
    "actors.llm.demo_server",
    "--fail-every",
    "7",
    "--burst-at",
    "20",
    "--burst",
    "8",
    "--latency",
    "0.1",
)
UP = ("-m", "gateway.cli.main", "up", "--threads", "16", "--workers", "1")
AT_ONCE = 8  # posts, as a provider would
DEADLINE = 40.0  # seconds for all work after the last post
POLL = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a running demo is made of."""

    site: Site
    inbox: Inbox
    ledger: Ledger
    console: Console


async def demo(console: Console, inherited: Mapping[str, str]) -> int:
    """Run the demo and give the exit code: 0 if every promise was kept. All it started has ended when it returns."""
    began = time.monotonic()
    _heed_sigterm()
    async with AsyncExitStack() as stack:
        stage = await _set(stack, console, inherited)
        console.print(f"ready after {time.monotonic() - began:.0f} s; posting to {stage.site.url}")
        kept = await _play(stage)
        console.print("ending everything")
    console.print(
        f"{'All promises kept' if kept else '[red]A promise was broken[/]'}, {time.monotonic() - began:.0f} s."
    )
    return 0 if kept else 1


def _heed_sigterm() -> None:
    """Let SIGTERM end us as Ctrl-C does: by cancelling, so that everything is cleaned up."""
    task = asyncio.current_task()
    if task:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _set(stack: AsyncExitStack, console: Console, inherited: Mapping[str, str]) -> Stage:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hookmill-demo-"))
    site = make_site(Path(folder))
    console.print("starting: a receiver that is down now and then, a model server that fails now and then,")
    console.print("and [bold]hookmill up[/]: Redis, the gateway, a worker")
    inbox = Inbox(secret=site.secrets["receiver"].encode())
    receiver = stack.enter_context(Receiver(inbox))
    server = await stack.enter_async_context(process(MODEL_SERVER, site=site, inherited=inherited, read=True))
    configure(site, receiver=receiver.url, model_port=await model_port(server, site))
    command = (*UP, "--port", str(site.port))
    up = await stack.enter_async_context(process(command, site=site, inherited=inherited))
    running = await ready(up, site)
    ledger = await open_ledger(running["redis_url"], deadline=timedelta(seconds=5))
    stack.push_async_callback(ledger.close)
    return Stage(site=site, inbox=inbox, ledger=ledger, console=console)


async def _play(stage: Stage) -> bool:
    posts = make_posts({name: secret.encode() for name, secret in stage.site.secrets.items()}, opening.now())
    first = await _post_all(stage, posts[:1])
    await _watch(stage, first, "the first event waits for the worker to start")
    rest = await _post_all(stage, posts[1:])
    await _watch(stage, [*first, *rest], "working")
    return await _report(stage, [*first, *rest])


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<9}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


async def _report(stage: Stage, outcomes: Sequence[Outcome]) -> bool:
    views = {one.event_id: await stage.ledger.show(one.event_id) for one in outcomes if one.event_id}
    seen = [Outcome(post=one.post, answer=one.answer, view=views.get(one.event_id or "")) for one in outcomes]
    stored = {view.id for view in await stage.ledger.events(limit=10_000)}
    figures = await stage.ledger.stats()
    promises = demo_report.promises(seen, stage.inbox, stored)
    stage.console.print("", demo_report.outcomes_table(seen), "")
    for line in demo_report.summary(seen, stage.inbox, figures):
        stage.console.print(line)
    for promise in promises:
        stage.console.print(f"[green]✓[/] {promise.text}" if promise.kept else f"[red]✗ {promise.text}[/]")
        for breach in promise.breaches:
            stage.console.print(f"    {render.plain(breach)}")
    return all(promise.kept for promise in promises)


async def _post_all(stage: Stage, posts: Sequence[Post]) -> list[Outcome]:
    """Post them kind by kind, in their order: duplicates after their originals, the burst all at once."""
    answers: list[Answer] = []
    async with httpx.AsyncClient(base_url=stage.site.url, timeout=10) as client:
        for kind, group in groupby(posts, key=lambda post: post.kind):
            some = list(group)
            gate = asyncio.Semaphore(len(some) if kind == "burst" else AT_ONCE)
            answers += await asyncio.gather(*(_post(client, gate, post) for post in some))
    return [Outcome(post=post, answer=answer) for post, answer in zip(posts, answers, strict=True)]


async def _post(client: httpx.AsyncClient, gate: asyncio.Semaphore, post: Post) -> Answer:
    signed = sign(SCHEMES[post.source], post.secret, post.body, now=post.signed_at, event_id=post.event_id)
    async with gate:
        try:
            return answer_of(
                await client.post(
                    f"/hooks/{post.source}", content=post.body, headers=with_media_type([*signed, *post.headers])
                )
            )
        except httpx.TransportError as error:
            return Answer(status=0, body={"code": type(error).__name__})


async def _watch(stage: Stage, outcomes: Sequence[Outcome], what: str) -> None:
    """Show how the work goes on, until every event is over and delivered or the time is up."""
    ids = [one.event_id for one in outcomes if one.first and one.event_id]
    stage.console.print(f"{render.plural(len(outcomes), 'post')}, {render.plural(len(ids), 'event')} accepted; {what}")
    with _progress(stage.console) as progress:
        worked = progress.add_task("worked", total=len(ids))
        arrived = progress.add_task("delivered", total=len(ids))
        pending, end = set(ids), time.monotonic() + DEADLINE
        while pending and time.monotonic() < end:
            await asyncio.sleep(POLL)
            views = {view.id: view for view in await stage.ledger.events(limit=1000) if view.over}
            progress.update(worked, completed=len(views))
            progress.update(arrived, completed=len(stage.inbox.taken))
            over = [one for one in pending if one in views]
            pending -= {one for one in over if _settled(await stage.ledger.show(one))}


def _settled(view: WorkView | None) -> bool:
    return view is not None and view.over and all(one.over for one in view.deliveries)
