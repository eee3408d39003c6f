"""The command line `hookmill`: one typer app, and one clear line for everything a person can get wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import (
    audit,
    check,
    costs,
    dead,
    events,
    init,
    models,
    n8n,
    pause,
    schedules,
    schemes,
    send,
    start,
    stats,
    token,
    top,
    trace,
    why,
)
from gateway.cli.faults import Fault, line_of
from gateway.cli.options import example

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich would cost 0.3 s at every --help
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example(
        "hookmill demo                              see it work, in under a minute",
        "hookmill init && hookmill up               run it here",
        "hookmill send blog example.json            post a signed event",
        "hookmill why evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B",
    ),
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - only this option pays for it

        print(f"hookmill {version('hookmill')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Hookmill: signed webhooks in, finished LLM results out."""


COMMANDS: tuple[tuple[Callable[..., None], str, tuple[str, ...]], ...] = (
    (start.demo, "See it work, in under a minute.", ("hookmill demo",)),
    (start.up, "Run everything on this machine.", ("hookmill up", "hookmill up --port 8430 --workers 2")),
    (
        init.init,
        "Write a configuration that works at once, with fresh secrets.",
        ("hookmill init", "hookmill init shop"),
    ),
    (check.check, "Validate all configuration, and Redis.", ("hookmill check", "hookmill check --offline --json")),
    (start.gateway, "Run the HTTP server that receives events.", ("hookmill gateway --port 8420",)),
    (
        start.worker,
        "Run worker processes.",
        ("hookmill worker", "hookmill worker --workers 2 --threads 64", "hookmill worker --lanes high,normal"),
    ),
    (
        send.send,
        "Sign a body as its sender would, and post it.",
        ("hookmill send blog example.json", "echo '{}' | hookmill send blog - --id a1 --count 2"),
    ),
    (why.why, "Say where an event is, and why.", ("hookmill why evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B",)),
    (
        trace.trace,
        "Draw what happened to an event, with durations.",
        ("hookmill trace evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B", "hookmill trace evt_… --jaeger http://127.0.0.1:16686"),
    ),
    (schedules.schedules, "Show which events of our own come when.", ("hookmill schedules",)),
    (models.models, "Show the models: calls, limits, circuits.", ("hookmill models", "hookmill models --json")),
    (costs.costs, "Show what the models cost.", ("hookmill costs", "hookmill costs --days 31 --json")),
    (stats.stats, "Show the ledger in figures.", ("hookmill stats", "hookmill stats --json | jq .dead")),
    (top.top, "Watch the ledger live.", ("hookmill top", "hookmill top --every 5")),
    (
        audit.audit,
        "List what was replayed, discarded, paused, and by whom.",
        ("hookmill audit", "hookmill audit --what discard --since 1d"),
    ),
    (
        schemes.schemes,
        "List how providers sign, and what that protects.",
        ("hookmill schemes", "hookmill schemes github", "hookmill schemes --json | jq '.[].name'"),
    ),
    (
        pause.pause,
        "Hold a source, pipeline or sink back.",
        ("hookmill pause sink n8n", "hookmill pause pipeline comment-sentiment"),
    ),
    (pause.resume, "Let it go on.", ("hookmill resume sink n8n",)),
)
GROUPS = ((events.app, "events"), (dead.app, "dead"), (token.app, "token"), (n8n.app, "n8n"))

for command, short, examples in COMMANDS:
    app.command(short_help=short, epilog=example(*examples))(command)
for group, name in GROUPS:
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command line; what went wrong is one line on stderr and exit code 2, a traceback only for our bugs."""
    try:
        app(prog_name="hookmill")
    except Exception as error:
        line = line_of(error)
        if line is None:
            raise
        print(line, file=sys.stderr)
        sys.exit(error.code if isinstance(error, Fault) else 2)


if __name__ == "__main__":
    main()
