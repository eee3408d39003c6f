"""`hookmill token`: API tokens, shown once and stored as their digest."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import opening, render
from gateway.cli.faults import Fault, unknown
from gateway.cli.options import Json, Yes, example

if TYPE_CHECKING:
    from gateway.ledger import Ledger

app = typer.Typer(no_args_is_help=True, help="API tokens for reading events and for operations.")
SCOPES = ("read", "replay", "admin")


def parse_scopes(text: str) -> tuple[str, ...]:
    """Read `read,replay`; raises Fault for a scope that does not exist."""
    scopes = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for scope in scopes:
        if scope not in SCOPES:
            raise unknown("scope", scope, SCOPES)
    if not scopes:
        raise Fault("--scope: expected one or more of read, replay, admin")
    return scopes


def parse_span(text: str) -> timedelta:
    """Read `30d`, `12h`, `15m`; raises Fault."""
    from gateway.config.values import duration  # noqa: PLC0415 - keeps `hookmill --help` quick

    try:
        return duration(text)
    except ValueError as error:
        raise Fault(f"--expires: {error}") from None


def digest(token: str) -> str:
    """Give what the ledger keeps of a token: its sha256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


@app.command(epilog=example("hookmill token create grafana --scope read --expires 30d"))
def create(
    name: Annotated[str, typer.Argument(help="What it is for; revoke it by this name.")],
    *,
    scope: Annotated[str, typer.Option(help="One or more of read, replay, admin: read,replay.")] = "read",
    expires: Annotated[str | None, typer.Option(help="When it ends: 30d, 12h, 15m. Never, if not given.")] = None,
) -> None:
    """Make a token and print it: once, for only its digest is stored."""
    scopes, ends = parse_scopes(scope), opening.now() + parse_span(expires) if expires else None
    token = f"hm_{secrets.token_urlsafe(32)}"

    async def put(ledger: Ledger) -> None:
        if any(known["name"] == name for known in await ledger.tokens()):
            raise Fault(f"there is a token {name!r} already; revoke it first, or take another name")
        await ledger.put_token(digest(token), name=name, scopes=scopes, expires=ends)

    opening.ask(put)
    print(token)


@app.command("list", epilog=example("hookmill token list"))
def list_tokens(*, as_json: Json = False) -> None:
    """Show the tokens that work, by name."""
    tokens = opening.ask(lambda ledger: ledger.tokens())
    if as_json:
        render.show_json([one | {"expires": _moment(one["expires"])} for one in tokens])
    elif not tokens:
        print("There are no tokens. Make one: hookmill token create NAME --scope read")
    else:
        rows = [(render.plain(one["name"]), ", ".join(one["scopes"]), _ends(one["expires"])) for one in tokens]
        render.show(render.table(("name", "scopes", "expires"), rows))


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _ends(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{_moment(seconds)}" + ("" if seconds > opening.now().timestamp() else " [red](over)[/]")


@app.command(epilog=example("hookmill token revoke grafana"))
def revoke(name: Annotated[str, typer.Argument(help="The token's name.")], *, yes: Yes = False) -> None:
    """Make a token invalid, at once."""
    if not yes:
        typer.confirm(f"Revoke token {name!r}?", abort=True)

    async def drop(ledger: Ledger) -> None:
        if not await ledger.drop_token(name):
            raise unknown("token", name, [known["name"] for known in await ledger.tokens()])

    opening.ask(drop)
    print(f"Token {name!r} is revoked.")
