"""Runs the gateway: `python -m gateway.serve --host 127.0.0.1 --port 8420`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from gateway.app import build_app
from gateway.config import ConfigError, load_config
from gateway.ledger import Ledger, LedgerError, open_ledger
from gateway.settings import read_settings
from gateway.wire import Wire
from otel.log import log_records, set_up_logging

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import ASGIApp

HOST, PORT = "127.0.0.1", 8420
MOST_CONNECTIONS = 1000
KEEP_ALIVE_SECONDS = 5
SHUTDOWN_SECONDS = 10  # longer than a slow body and an admission together
BACKLOG = 2048
REFUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; what keeps it from starting is one line on stderr and exit code 2."""
    options = read_options(arguments)
    set_up_logging(os.environ)
    try:
        uvloop.run(run(options.host, options.port, env=os.environ))
    except (ConfigError, LedgerError) as error:
        return refuse(str(error))
    except OSError as error:
        return refuse(f"cannot listen at {options.host}:{options.port}: {error.strerror}")
    except KeyboardInterrupt:  # uvicorn raises the signal again once it has shut down
        return 0
    return 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read --host and --port."""
    parser = argparse.ArgumentParser(prog="python -m gateway.serve", description=__doc__)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", default=PORT, type=int, help="0 takes a free one")
    return parser.parse_args(arguments)


async def run(host: str, port: int, *, env: Mapping[str, str]) -> None:
    """Read the configuration, reach Redis, listen, serve; raises ConfigError, LedgerError, OSError."""
    settings = read_settings(env)
    config = load_config(settings.config, env)
    ledger = await open_ledger(settings.redis_url)

    async def opened() -> Ledger:
        return ledger

    app = build_app(config, settings, ledger_factory=opened, listeners=(log_records,))
    with listen(host, port) as listener:
        say(f"hookmill gateway: http://{host}:{listener.getsockname()[1]}")
        await make_server(app).serve(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything is served, so that a taken port is a clear error; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Configure uvicorn: our protocol, no access log, bounded connections, a bounded graceful shutdown."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Wire,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )


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
