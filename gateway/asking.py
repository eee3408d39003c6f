"""What the admin listener is asked: filters and bodies, read strictly."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from gateway.body import read_body
from gateway.config.values import past
from gateway.errors import MediaTypeUnsupported, ParameterInvalid
from gateway.ledger.letters import CURSOR
from gateway.receive import JSON, media_type
from gateway.status import read_limit, read_source
from gateway.verify.strict_json import check as check_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from starlette.requests import Request

    from gateway.gate import Gate

    Readers = Mapping[str, Callable[[Any], Any]]

MOST_BODY = 64 * 1024
BODY_TIMEOUT = timedelta(seconds=5)
LONGEST_TEXT = 200
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
CLASS = re.compile(r"[A-Za-z_]{1,64}")


async def read_asked(request: Request, gate: Gate) -> dict[str, Any]:
    """Read the body: strict JSON, an object; raises a Rejection."""
    headers = tuple(request.scope["headers"])
    if media_type(headers) != JSON:
        raise MediaTypeUnsupported
    body = await read_body(request.receive, headers, most=MOST_BODY, within=BODY_TIMEOUT, room=gate.room)
    check_json(body)
    asked = json.loads(body)
    if not isinstance(asked, dict):
        raise ParameterInvalid("The body is a JSON object.")
    return asked


def read_members(asked: Mapping[str, Any], known: Readers) -> dict[str, Any]:
    """Read what an object may hold; raises ParameterInvalid for what is unknown or malformed."""
    if not asked.keys() <= known.keys():
        raise ParameterInvalid(f"Only {', '.join(known)} may be given.")
    return {name: known[name](value) for name, value in asked.items()}


def read_text(name: str) -> Callable[[Any], str]:
    """Make a reader of short texts."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_TEXT:
            raise ParameterInvalid(f"{name} is a text of 1 to {LONGEST_TEXT} characters.")
        return value

    return read


def read_name(value: Any) -> str:
    """Read the name of a source or a sink; raises ParameterInvalid."""
    return read_source(value if isinstance(value, str) else "")


def read_class(value: Any) -> str:
    """Read an error class; raises ParameterInvalid."""
    if not isinstance(value, str) or not CLASS.fullmatch(value):
        raise ParameterInvalid("error_class is the name of an error class.")
    return value


def read_flag(value: Any) -> bool:
    """Read true or false; raises ParameterInvalid."""
    if not isinstance(value, bool):
        raise ParameterInvalid("A switch is true or false.")
    return value


def read_cursor(value: Any) -> str:
    """Read the cursor of a list of dead letters; raises ParameterInvalid."""
    if not isinstance(value, str) or not CURSOR.fullmatch(value):
        raise ParameterInvalid("cursor is what an earlier answer gave.")
    return value


def read_day(value: Any) -> str:
    """Read a day such as 2026-11-21; raises ParameterInvalid."""
    try:
        if DAY.fullmatch(value):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise ParameterInvalid("day is a day such as 2026-11-21.")


def read_moment(now: datetime) -> Callable[[Any], datetime]:
    """Make a reader of moments: an instant with its zone, or how long ago."""

    def read(value: Any) -> datetime:
        try:
            return past(value, now=now)
        except ValueError as error:
            raise ParameterInvalid(f"A moment: {error}.") from None

    return read


def filters(now: datetime) -> Readers:
    """Give the readers of what a filter of dead letters may hold."""
    return {
        "source": read_name,
        "pipeline": read_text("pipeline"),
        "sink": read_name,
        "step": read_text("step"),
        "error_class": read_class,
        "since": read_moment(now),
        "until": read_moment(now),
    }


def listing(now: datetime) -> Readers:
    """Give the readers of the query of a list of dead letters."""
    return {**filters(now), "limit": read_limit, "cursor": read_cursor}


def auditing(now: datetime) -> Readers:
    """Give the readers of the query of the audit trail."""
    spans = {"since": read_moment(now), "until": read_moment(now)}
    return {"who": read_text("who"), "what": read_text("what"), **spans, "limit": read_limit}
