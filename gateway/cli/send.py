"""`hookmill send`: signs a body as a source's sender would, and posts it."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli import opening, render
from gateway.cli.faults import Fault, unknown
from gateway.cli.options import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    import httpx

    from gateway.config import Source

DEFAULT_URL = "http://127.0.0.1:8420"
SourceName = Annotated[str, typer.Argument(metavar="SOURCE", help="A source of hookmill.toml.", show_default=False)]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The body; - reads stdin.", show_default=False)]
Url = Annotated[str | None, typer.Option(help=f"The gateway. Default: the one `hookmill up` runs, else {DEFAULT_URL}.")]
Id = Annotated[str | None, typer.Option("--id", help="The sender's event id; default: a fresh one per post.")]
Count = Annotated[int, typer.Option(min=1, max=10_000, help="Post it so many times; with --id: as duplicates.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the gateway answered to a post; `body` is its JSON (a 202's, or a problem's), {} where it is none."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    retry_after: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the event is stored, now or before."""
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"status": self.status, "answer": self.body, "retry_after": self.retry_after}


def send(
    source: SourceName,
    file: File,
    *,
    url: Url = None,
    event_id: Id = None,
    count: Count = 1,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """Sign a body with the source's first secret and post it to the gateway."""
    import httpx  # noqa: PLC0415 - keeps `hookmill --help` quick

    configured = opening.config().sources
    if source not in configured:
        raise unknown("source", source, configured)
    body, base = read(file), gateway_url(url)
    answers = []
    with httpx.Client(timeout=timeout) as client:
        for _ in range(count):
            name = event_id or f"msg_{secrets.token_hex(12)}"
            answers.append(_post(client, configured[source], body, base=base, event_id=name))
            if not as_json:
                print(line(answers[-1]))
    if as_json:
        render.show_json([answer.json() for answer in answers])
    if not all(answer.accepted for answer in answers):
        raise typer.Exit(1)


def read(file: Path) -> bytes:
    """Read the body from a file, or from stdin for `-`."""
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()


def gateway_url(url: str | None) -> str:
    """Give the gateway's address: as told, else of the `hookmill up` of this machine, else the default."""
    if url:
        if not url.startswith(("http://", "https://")):
            raise Fault(f"--url: expected http://… or https://…, got {url!r}")
        return url.rstrip("/")
    return running_gateway(opening.settings().data / "up.json") or DEFAULT_URL


def running_gateway(state: Path) -> str | None:
    """Give the address of the `hookmill up` that wrote this file; None if there is none."""
    try:
        url = json.loads(state.read_text(encoding="utf-8"))["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(url).rstrip("/")


def _post(client: httpx.Client, source: Source, body: bytes, *, base: str, event_id: str) -> Answer:
    import httpx  # noqa: PLC0415 - keeps `hookmill --help` quick

    from gateway.verify import sign  # noqa: PLC0415

    secret = source.secrets[0].reveal().encode()
    try:
        signed = sign(source.scheme, secret, body, now=opening.now(), event_id=event_id, url=source.public_url)
    except ValueError as error:  # an id or a secret that the scheme cannot carry
        raise Fault(f"source {source.name}: {error}") from None
    try:
        response = client.post(f"{base}/hooks/{quote(source.name)}", content=body, headers=with_media_type(signed))
    except httpx.TimeoutException:
        raise Fault(
            f"no answer from {base} in time; the event may have been stored: send it again with its --id"
        ) from None
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Fault(f"no gateway at {base} ({type(error).__name__}); start one: hookmill up") from None
    return answer_of(response)


def with_media_type(signed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Add the JSON media type, unless the scheme's own headers name one."""
    if any(name.lower() == "content-type" for name, _ in signed):
        return signed
    return [*signed, ("content-type", "application/json")]


def answer_of(response: httpx.Response) -> Answer:
    """Read the gateway's answer."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    return Answer(
        status=response.status_code,
        body=body if isinstance(body, dict) else {},
        retry_after=response.headers.get("retry-after"),
    )


def line(answer: Answer) -> str:
    """Say in one line what became of a post, and how to see more."""
    body = answer.body
    if answer.accepted and "event_id" in body:
        what = "duplicate, " if body.get("duplicate") else ""
        return (
            f"{answer.status} {what}{body.get('state', '')} {body['event_id']}  hookmill events show {body['event_id']}"
        )
    if answer.accepted:
        return f"{answer.status} answered by the source's own reply"
    again = f"; try again in {answer.retry_after} s" if answer.retry_after else ""
    return f"{answer.status} {body.get('code', 'refused')}: {body.get('detail', 'no detail')}{again}"
