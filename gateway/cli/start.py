"""`hookmill up`, `gateway`, `worker`, `demo`: commands that become, or start, the running system."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import opening, render
from gateway.cli.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.cli.supervise import Note

Host = Annotated[str, typer.Option(help="Address to listen on; keep it local behind a reverse proxy.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the public listener.")]
AdminHost = Annotated[str, typer.Option(help="Address of the admin listener: loopback, or a private network.")]
AdminPort = Annotated[int, typer.Option(min=0, max=65535, help="Port of the admin listener; 0: none.")]
Threads = Annotated[int, typer.Option(min=1, max=1000, help="Runs worked at once, per process.")]
DeliveryThreads = Annotated[int, typer.Option(min=1, max=1000, help="Deliveries sent at once, per process.")]
Processes = Annotated[int, typer.Option(min=1, max=256, help="Gateway processes behind the one port.")]
Parser = Annotated[str, typer.Option(help="What parses HTTP: httptools, or h11 (slower, all Python).")]
LaneNames = Annotated[str, typer.Option(help="The lanes that it works, such as high,normal: others need a worker too.")]
StepProcesses = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, help="Processes for steps that compute, per worker process.", show_default="one a core"
    ),
]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Worker processes.")]


def gateway(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8420,
    admin_host: AdminHost = "127.0.0.1",
    admin_port: AdminPort = 8421,
    processes: Processes = 1,
    http: Parser = "httptools",
) -> None:
    """Become the gateway: the HTTP server that receives events. SIGHUP makes it read its configuration again."""
    opening.config()  # a mistake in it is one clear line here, before anything starts
    options = {"--host": host, "--port": str(port), "--processes": str(processes), "--http": http}
    if admin_port:
        options |= {"--admin-host": admin_host, "--admin-port": str(admin_port)}
    become([sys.executable, "-m", "gateway.serve", *(word for option in options.items() for word in option)])


def worker(
    *,
    workers: Workers = 1,
    threads: Threads = 32,
    delivery_threads: DeliveryThreads = 8,
    lanes: LaneNames = "high,normal,low,deliveries",
    step_processes: StepProcesses = None,
) -> None:
    """Become a worker: the stock dramatiq program, which works runs and deliveries."""
    from gateway.cli.worker import read_lanes, worker_command, worker_environment  # noqa: PLC0415 - a quick `--help`

    try:
        chosen = read_lanes(lanes)
    except ValueError as error:
        raise Fault(f"--lanes: {error}") from None
    opening.ready_to_work()
    run_threads = threads if set(chosen) - {"deliveries"} else 0
    delivery_threads = delivery_threads if "deliveries" in chosen else 0
    shares = worker_environment(
        run_threads=run_threads, delivery_threads=delivery_threads, lanes=chosen, step_processes=step_processes
    )
    become(worker_command(threads=run_threads + delivery_threads, processes=workers, lanes=chosen), shares)


def up(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8420,
    admin_port: AdminPort = 8421,
    workers: Workers = 1,
    threads: Threads = 32,
    delivery_threads: DeliveryThreads = 8,
) -> None:
    """Run everything on this machine: Redis (unless HOOKMILL_REDIS_URL names one), the gateway and the workers.

    Ctrl-C ends it in good order; a second one ends it at once.
    """
    import asyncio  # noqa: PLC0415 - keeps `hookmill --help` quick

    from gateway.cli.up import up as run_up  # noqa: PLC0415

    opening.config()
    running = run_up(
        opening.settings(),
        host=host,
        port=port,
        admin_port=admin_port,
        workers=workers,
        threads=threads,
        delivery_threads=delivery_threads,
        on_event=tell,
        env=opening.environment(),
    )
    raise typer.Exit(asyncio.run(running))


def tell(note: Note) -> None:
    """Print what a part said, or what happened to it, on stderr: `worker  ready`."""
    print(f"{note.part:<8}{'│' if note.output else '·'} {note.text}", file=sys.stderr, flush=True)


def demo() -> None:
    """See it work: fifty signed events, flaky models, a receiver that is down now and then; every promise checked.

    It runs on free ports in a temporary folder, with a Redis of its own, and leaves nothing behind.
    """
    import asyncio  # noqa: PLC0415 - keeps `hookmill --help` quick

    from gateway.cli.demo import demo as run_demo  # noqa: PLC0415

    try:
        code = asyncio.run(run_demo(render.console(), opening.environment()))
    except asyncio.CancelledError:
        code = 143  # as a shell tells SIGTERM
    raise typer.Exit(code)


def become(command: Sequence[str], extra: Mapping[str, str] | None = None) -> None:
    """Replace this process by that one, so that signals reach it and its exit code is ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], list(command), opening.environment() | dict(extra or {}))  # noqa: S606 - our own interpreter, no shell
