"""`hookmill models`: what each model is doing, against its limits, and why nobody calls it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gateway.cli import opening, render
from gateway.cli.options import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.config import Candidate
    from gateway.ledger import CandidateView


def models(*, as_json: Json = False) -> None:
    """Show what each model is doing now and within the last minute, its limits, its circuit and its key."""
    configured = {one.name: one for alias in opening.models().aliases.values() for one in alias.everyone}
    seen = {view.name: view for view in opening.ask(lambda ledger: ledger.candidates())}
    if as_json:
        render.show_json([_told(name, configured.get(name), seen.get(name)) for name in {**configured, **seen}])
        return
    if seen:
        render.show(table(list(seen.values()), configured))
    for name in configured.keys() - seen.keys():
        render.show(f"{render.plain(name)}  not called yet")


def table(views: Sequence[CandidateView], configured: Mapping[str, Candidate] | None = None) -> Any:
    """Make the table of models; with their limits, where they are known."""
    rows = []
    for one in views:
        limits = configured.get(one.name) if configured else None
        most, rpm, tpm = (limits.max_concurrent, limits.rpm, limits.tpm) if limits else (None, None, None)
        why = f"[red]{render.plain(one.left_alone)}[/]" if one.left_alone else ""
        now, calls, tokens = _of(one.in_flight, most), _of(one.calls, rpm), _of(one.tokens, tpm)
        rows.append((render.plain(one.name), now, calls, tokens, str(one.waiting), str(one.opened), why))
    return render.table(("model", ">now", ">last minute", ">tokens", ">waiting", ">opened", "left alone"), rows)


def _of(number: int, limit: int | None) -> str:
    return f"{number:,} of {limit:,}" if limit else f"{number:,}"


def _told(name: str, candidate: Candidate | None, view: CandidateView | None) -> dict[str, Any]:
    limits = candidate and {"max_concurrent": candidate.max_concurrent, "rpm": candidate.rpm, "tpm": candidate.tpm}
    return {
        "name": name,
        "model": candidate and candidate.model,
        "pool": candidate and candidate.pool_name,
        "limits": limits,
        "now": view and asdict(view) | {"left_alone": view.left_alone},
    }
