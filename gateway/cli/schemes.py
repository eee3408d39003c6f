"""`hookmill schemes`: how providers sign, what that protects, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.faults import unknown
from gateway.cli.options import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.verify import Scheme

Name = Annotated[str | None, typer.Argument(metavar="[SCHEME]", help="Only this one, in full.", show_default=False)]


def schemes(name: Name = None, *, as_json: Json = False) -> None:
    """List the schemes that a source can name, or show one of them: what it protects, and what it does not."""
    from gateway.verify import SCHEMES  # noqa: PLC0415 - keeps `hookmill --help` quick

    if name is not None and name not in SCHEMES:
        raise unknown("scheme", name, SCHEMES)
    rows = [told(scheme) for scheme in SCHEMES.values()]
    if name is not None:
        [row] = [row for row in rows if row["name"] == name]
        render.show_json(row) if as_json else render.show(*lines(row))
    elif as_json:
        render.show_json(rows)
    else:
        cells = [(row["name"], row["proof"], row["protects"], row["tolerance"]) for row in rows]
        render.show(render.table(("!scheme", "proof", "protects", "!clock"), cells))


def told(scheme: Scheme) -> dict[str, Any]:
    """Give what there is to tell of a scheme, as plain JSON."""
    from gateway.verify.promises import exposes, proof, protects  # noqa: PLC0415 - keeps `hookmill --help` quick

    return {
        "name": scheme.name,
        "proof": proof(scheme),
        "signs": "" if scheme.proof == "token" else scheme.signed,
        "protects": protects(scheme),
        "exposes": list(exposes(scheme)),
        "tolerance": f"± {render.span(scheme.tolerance)}" if scheme.timed else "",
        "header": scheme.header,
        "id": scheme.dedupe or "",
        "handshake": scheme.handshake is not None,
        "needs": needs(scheme),
        "max_body": scheme.max_body,
        "docs": scheme.docs,
    }


def needs(scheme: Scheme) -> list[str]:
    """List the keys that a source of this scheme has to have, beside its secrets."""
    asks = scheme.handshake is not None and bool(scheme.handshake.verify_token)
    return [*(["public_url"] if scheme.signs_url else []), *(["verify_token"] if asks else [])]


def lines(row: dict[str, Any]) -> Iterator[str]:
    """Write one scheme line by line."""
    yield f"[bold]{row['name']}[/]  {row['docs']}"
    yield f"proof     {row['proof']}" + (f" over {render.plain(row['signs'])}" if row["signs"] else "")
    yield f"protects  {row['protects']}"
    for exposed in row["exposes"]:
        yield f"but       {render.plain(exposed)}"
    facts = {"clock": row["tolerance"], "id": row["id"], "needs": ", ".join(row["needs"])}
    for label, fact in facts.items():
        if fact:
            yield f"{label:<10}{render.plain(fact)}"
    if row["handshake"]:
        yield "asks      with a handshake, which the gateway answers"
    yield f"body      up to {render.size(row['max_body'])}"
