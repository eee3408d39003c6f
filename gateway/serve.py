"""Runs the gateway: `python -m gateway.serve --host 127.0.0.1 --port 8420`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from gateway.app import build_app, check_links
from gateway.config import ConfigError, load_config
from gateway.fleet import Fleet
from gateway.ledger import Ledger, LedgerError, open_ledger
from gateway.server import BACKLOG, PROTOCOLS, Server, load_anew, make_server, reload
from gateway.settings import read_settings
from otel.log import log_records, set_up_logging
from otel.setup import set_up_telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HOST, PORT = "127.0.0.1", 8420
MOST_PROCESSES = 256
REFUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; what keeps it from starting is one line on stderr and exit code 2."""
    options = read_options(arguments)
    set_up_logging(os.environ, gather=True)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    try:
        run(options, env=os.environ)
    except (ConfigError, LedgerError) as error:
        return refuse(str(error))
    except OSError as error:
        return refuse(f"cannot listen at {options.host}:{options.port}: {error.strerror}")
    except KeyboardInterrupt:  # uvicorn raises the signal again once it has shut down
        return 0
    return 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read --host, --port, --admin-host, --admin-port, --http and --processes."""
    parser = argparse.ArgumentParser(prog="python -m gateway.serve", description=__doc__)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", default=PORT, type=int, help="0 takes a free one")
    parser.add_argument("--admin-host", default=HOST)
    parser.add_argument("--admin-port", type=int, help="of the admin listener; none if not given")
    parser.add_argument("--http", default="httptools", choices=sorted(PROTOCOLS), help="what parses HTTP")
    parser.add_argument("--processes", default=1, type=int, choices=range(1, MOST_PROCESSES + 1), metavar="N")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, *, env: Mapping[str, str]) -> None:
    """Check what it needs, listen, serve; raises ConfigError, LedgerError, OSError before it listens."""
    uvloop.run(check(env))
    aside = listen_aside(options.admin_host, options.admin_port)
    with listen(options.host, options.port) as listener, aside as admin:
        say(f"hookmill gateway: http://{options.host}:{listener.getsockname()[1]}")
        if admin is not None:
            say(f"hookmill admin: http://{options.admin_host}:{admin.getsockname()[1]}")
        if options.processes == 1:
            uvloop.run(serve(listener, admin, http=options.http, env=env))
        else:
            work = partial(serve_in_fleet, listener, admin, http=options.http, env=env)
            Fleet(options.processes, work=work, may_reload=partial(may_reload, env)).run()


async def check(env: Mapping[str, str]) -> None:
    """Read the configuration and reach Redis; raises ConfigError or LedgerError."""
    settings = read_settings(env)
    check_links(load_config(settings.config, env), settings)
    await (await open_ledger(settings.redis_url)).close()


async def serve(
    listener: socket.socket,
    admin: socket.socket | None,
    *,
    http: str,
    env: Mapping[str, str],
    lifeline: int | None = None,
) -> None:
    """Serve until a signal ends it, or `lifeline` is at its end; SIGHUP reads the configuration again."""
    settings = read_settings(env)
    config = load_config(settings.config, env)
    ledger = await open_ledger(settings.redis_url, retention=config.retention, wait=config.door.wait)

    async def opened() -> Ledger:
        return ledger

    telemetry = set_up_telemetry(env, name="gateway")
    listeners = (log_records, *telemetry.listeners)
    app = build_app(
        config,
        settings,
        ledger_factory=opened,
        listeners=listeners,
        figures=telemetry.figures,
        on_close=telemetry.stop,
    )
    server, loop = make_server(app, http=http, admin=admin), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload, app.present, settings, env)
    if lifeline is not None:
        loop.add_reader(lifeline, end_orphan, server, lifeline)
    collect_less()
    await server.serve(sockets=[listener])


def collect_less() -> None:
    """Keep what is loaded out of the garbage collector's way, and let it run less often: it halves the p99."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def end_orphan(server: Server, lifeline: int) -> None:
    """Stop: the parent is dead, and nobody else would ever say so."""
    asyncio.get_running_loop().remove_reader(lifeline)
    server.leave()


def serve_in_fleet(
    listener: socket.socket, admin: socket.socket | None, lifeline: int, *, http: str, env: Mapping[str, str]
) -> int:
    """Be one of several processes; gives the exit code."""
    try:
        uvloop.run(serve(listener, admin, http=http, env=env, lifeline=lifeline))
    except (ConfigError, LedgerError) as error:
        return refuse(str(error))
    return 0


def may_reload(env: Mapping[str, str]) -> bool:
    """Tell whether the configuration can be read again; if not, one line says why, for all processes."""
    return load_anew(read_settings(env), env) is not None


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything is served, so that a taken port is a clear error; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


@contextmanager
def listen_aside(host: str, port: int | None) -> Iterator[socket.socket | None]:
    """Bind the admin listener; None where none is wanted, or its port is taken.

    That is said, but keeps no webhook out.
    """
    if port is None:
        yield None
        return
    try:
        listener = listen(host, port)
    except OSError as error:
        say(f"no admin listener: cannot listen at {host}:{port}: {error.strerror}; choose another --admin-port")
        yield None
        return
    with listener:
        yield listener


def say(line: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def refuse(line: str) -> int:
    """Say why it does not start; gives the exit code."""
    say(line)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
