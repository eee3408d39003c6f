"""Dead letters over HTTP: listed, shown, replayed and discarded, a bounded part at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from gateway.asking import filters, listing, read_asked, read_cursor, read_flag, read_members
from gateway.errors import NotFound, ParameterInvalid
from gateway.ledger import Bulk, By, Tally, carry_out
from gateway.ledger.event import WORK_ID
from gateway.ledger.view import Filter
from gateway.problem import GUARD
from gateway.receive import check_address
from gateway.status import brief, read_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from gateway.asking import Readers
    from gateway.gate import Gate
    from gateway.ledger import Ledger
    from gateway.ledger.bulk import Action

MOST_IDS = 100
MOST_LETTERS = 1000  # of a filter, in one call
SPAN = timedelta(seconds=2)  # of one call, after which it answers how far it got


async def admitted(request: Request, scope: str) -> tuple[Gate, str]:
    """Charge the address and check the token; gives the parts of the gateway, and who it is."""
    gate: Gate = request.state.gate
    check_address(request.scope, gate)
    return gate, f"token:{await gate.access.permit(request, scope=scope, now=gate.clock())}"


async def list_dead(request: Request) -> Response:
    """List dead letters, the last buried first; needs the scope `read`."""
    gate, _ = await admitted(request, "read")
    asked = read_query(request.query_params, listing(gate.clock()))
    page = {name: asked.pop(name) for name in ("limit", "cursor") if name in asked}
    letters, cursor = await gate.ledger.dead_page(wanted=Filter(**asked), **page)
    return JSONResponse({"letters": [brief(one) for one in letters], "cursor": cursor}, headers=GUARD)


async def show_dead(request: Request) -> Response:
    """Show a dead letter with everything about it; needs the scope `read`."""
    gate, _ = await admitted(request, "read")
    view = await gate.ledger.show(request.path_params["letter_id"])
    if view is None or view.state != "dead":
        raise NotFound("There is no such dead letter.")
    return JSONResponse(view.json(), headers=GUARD)


async def replay_dead(request: Request) -> Response:
    """Work letters again, by their ids or by a filter; needs the scope `replay`."""
    return await _act(request, "replay")


async def discard_dead(request: Request) -> Response:
    """Take letters off the list, by their ids or by a filter; needs the scope `replay`."""
    return await _act(request, "discard")


async def _act(request: Request, action: Action) -> Response:
    gate, who = await admitted(request, "replay")
    asked = _read(await read_asked(request, gate), gate, action)
    ids, wanted, dry_run = asked.get("ids"), asked.get("filter", Filter()), asked.get("dry_run", False)
    by = By(who=who) if ids else By(who=who, on=str(wanted), bulk=secrets.token_hex(8))
    bulk = Bulk(action=action, wanted=wanted, by=by, scratch=asked.get("scratch", False))
    page = {"most": asked.get("most", MOST_LETTERS), "cursor": asked.get("cursor")}
    if ids:
        told = await _look_at(gate.ledger, ids) if dry_run else await _do_each(gate.ledger, bulk, ids)
    else:
        told = _told(await (_count(gate.ledger, wanted, **page) if dry_run else _do(gate.ledger, bulk, **page)))
    return JSONResponse({"action": action, "dry_run": dry_run, **told}, headers=GUARD)


def _read(asked: dict[str, Any], gate: Gate, action: Action) -> dict[str, Any]:
    readers = filters(gate.clock())

    def read_filter(value: Any) -> Filter:
        if not isinstance(value, dict):
            raise ParameterInvalid("filter is an object.")
        return Filter(**read_members(value, readers))

    known: Readers = {
        "dry_run": read_flag,
        **({"scratch": read_flag} if action == "replay" else {}),
        **({"ids": _ids} if "ids" in asked else {"filter": read_filter, "most": _most, "cursor": read_cursor}),
    }
    if not {"ids", "filter"} & asked.keys():
        raise ParameterInvalid("Either ids or a filter is needed.")
    return read_members(asked, known)


def _ids(value: Any) -> list[str]:
    given = value if isinstance(value, list) else []
    known = [one for one in given if isinstance(one, str) and WORK_ID.fullmatch(one)]
    if not 1 <= len(given) <= MOST_IDS or len(set(known)) < len(given):
        raise ParameterInvalid(f"ids are 1 to {MOST_IDS} different ids of events or deliveries.")
    return known


def _most(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_LETTERS:
        raise ParameterInvalid(f"most is a number from 1 to {MOST_LETTERS}.")
    return value


async def _look_at(ledger: Ledger, ids: Sequence[str]) -> dict[str, Any]:
    views = await ledger.briefs(ids)
    answers = ["dead" if view and view.state == "dead" else "not_dead" for view in views]
    return _told(Tally(answers=Counter(answers)), letters=_letters(ids, answers))


async def _do_each(ledger: Ledger, bulk: Bulk, ids: Sequence[str]) -> dict[str, Any]:
    answers = [await bulk.act(ledger, one) for one in ids]
    return _told(Tally(answers=Counter(answers)), letters=_letters(ids, answers))


async def _count(ledger: Ledger, wanted: Filter, *, most: int, cursor: str | None) -> Tally:
    letters, cursor = await ledger.dead_page(wanted=wanted, limit=most, cursor=cursor)
    return Tally(answers={"dead": len(letters)}, cursor=cursor)


async def _do(ledger: Ledger, bulk: Bulk, *, most: int, cursor: str | None) -> Tally:
    until = asyncio.get_running_loop().time() + SPAN.total_seconds()
    tally = Tally(answers={}, cursor=cursor)
    async with aclosing(carry_out(ledger, bulk, most=most, cursor=cursor)) as tallies:
        async for tally in tallies:
            if tally.full or asyncio.get_running_loop().time() > until:
                break
    return tally


def _letters(ids: Sequence[str], answers: Sequence[str]) -> list[dict[str, str]]:
    return [{"id": one, "answer": answer} for one, answer in zip(ids, answers, strict=True)]


def _told(tally: Tally, *, letters: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
    return {
        "count": tally.done,
        "skipped": tally.skipped,
        "full": tally.full,
        "cursor": tally.cursor,
        "letters": letters,
    }
