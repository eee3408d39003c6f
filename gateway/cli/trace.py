"""`hookmill trace`: an event's waterfall, from the ledger, or from Jaeger where one is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import opening, render
from gateway.cli.faults import Fault
from gateway.cli.options import EventId  # noqa: TC001 - typer reads the annotations
from gateway.cli.waterfall import draw, read_otlp, read_view

if TYPE_CHECKING:
    from gateway.cli.waterfall import Bar

PATIENCE = 5.0  # seconds for Jaeger
JAEGER = "such as http://127.0.0.1:16686; then it is Jaeger that is asked"
Jaeger = Annotated[str, typer.Option("--jaeger", metavar="URL", envvar="HOOKMILL_JAEGER_URL", help=JAEGER)]


def trace(event_id: EventId, *, jaeger: Jaeger = "") -> None:
    """Draw what happened to an event, with durations: from what the ledger keeps, or as Jaeger was told."""
    view = opening.ask(lambda ledger: ledger.show(event_id))
    if view is None:
        raise Fault(f"{event_id}: there is no such event, or it is kept no longer", code=1)
    bars = ask_jaeger(jaeger, view.trace_id) if jaeger else read_view(view)
    render.show(*(render.plain(line) for line in [f"{view.event_id}  trace {view.trace_id}", *draw(bars)]))


def ask_jaeger(url: str, trace_id: str) -> list[Bar]:
    """Ask Jaeger's API for a trace; raises Fault with one clear line where it has none, or is not there."""
    import httpx  # noqa: PLC0415 - keeps `hookmill --help` quick

    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/v3/traces/{trace_id}", timeout=PATIENCE)
        answer.raise_for_status()
        told: Any = answer.json()
        return read_otlp(told)
    except httpx.HTTPStatusError as error:
        raise Fault(f"Jaeger has no such trace (HTTP {error.response.status_code})", code=1) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Fault(f"Jaeger did not answer ({type(error).__name__}); see --jaeger") from None
    except (LookupError, TypeError, ValueError):
        raise Fault("what answered is no Jaeger v2; see --jaeger") from None
