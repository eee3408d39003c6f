"""Dead letters as ops see them, page by page, and the trail of what was done to them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.ledger.connection import answer
from gateway.ledger.event import WORK_ID
from gateway.ledger.keys import key
from gateway.ledger.view import Filter, WorkView
from gateway.ledger.views import PAGE, PAGE_READS, Views

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CURSOR = re.compile(rf"([0-9]{{1,15}})-((?:{WORK_ID.pattern})~?)")
BEFORE = "~"  # sorts after every character of an id
MOST_AUDITED = 10_000
ANY = Filter()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, on what, how many times from `first` to `last`; a bulk is one entry."""

    who: str
    what: str
    on: str
    count: int
    first: datetime
    last: datetime

    def json(self) -> dict[str, Any]:
        """Plain JSON values: times in ISO 8601 (UTC)."""
        times = {"first": self.first.isoformat(), "last": self.last.isoformat()}
        return {"who": self.who, "what": self.what, "on": self.on, "count": self.count, **times}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are wanted; None is anything. `since` and `until` (not included) tell when the last of it was."""

    who: str | None = None
    what: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def passes(self, entry: AuditEntry) -> bool:
        """Tell whether it is wanted."""
        early = self.since is not None and entry.last < self.since
        late = self.until is not None and entry.last >= self.until
        return not early and not late and self.who in {None, entry.who} and self.what in {None, entry.what}


ANY_ENTRY = AuditFilter()


def mark(view: WorkView, *, before: bool = False) -> str:
    """Make the cursor that goes on after this dead letter, or with `before` at it."""
    return f"{round(view.updated_at.timestamp() * 1000)}-{view.id}{BEFORE if before else ''}"


class Letters(Views):
    """The dead letters, the last buried first, and the audit trail."""

    async def dead(self, *, limit: int = 50, wanted: Filter = ANY) -> list[WorkView]:
        """List dead letters, last buried first, in brief; all that pass are looked for."""
        found = list[WorkView]()
        async for page in self.dead_pages(wanted=wanted):
            found += page
            if len(found) >= limit:
                break
        return found[:limit]

    async def dead_pages(self, *, wanted: Filter = ANY) -> AsyncIterator[list[WorkView]]:
        """Go through all dead letters that pass, a page at a time; a page may be empty."""
        cursor: str | None = None
        while True:
            page, cursor = await self.dead_page(limit=PAGE, cursor=cursor, wanted=wanted)
            yield page
            if cursor is None:
                return

    async def dead_page(
        self, *, limit: int = 50, cursor: str | None = None, wanted: Filter = ANY
    ) -> tuple[list[WorkView], str | None]:
        """List dead letters, last buried first, in brief, and give the cursor of the next page; None after the last.

        A cursor is a place in time, and holds when its letter is gone. A filter that little passes can give short
        pages, even empty ones: at most 1,000 letters are looked at.
        """
        found = list[WorkView]()
        for _ in range(PAGE_READS):
            rows, ended = await self._buried(cursor, wanted)
            ids = [one for one, _ in rows]
            for (one, at), view in zip(rows, await self.briefs(ids), strict=True):
                cursor = f"{at}-{one}"
                if view and view.state == "dead" and wanted.passes(view):
                    found.append(view)
                if len(found) == limit:
                    return found, cursor
            if ended:
                return found, None
        return found, cursor

    async def audit(self, *, limit: int = 50, wanted: AuditFilter = ANY_ENTRY) -> list[AuditEntry]:
        """List what was done by hand, the newest first; the last 10,000 actions are kept."""
        found = list[AuditEntry]()
        for at in range(0, MOST_AUDITED, PAGE):
            texts = await answer(self.redis.lrange(key("audit"), at, at + PAGE - 1))
            found += [entry for entry in map(_entry, texts) if wanted.passes(entry)]
            if len(found) >= limit or len(texts) < PAGE:
                break
        return found[:limit]

    async def _buried(self, cursor: str | None, wanted: Filter) -> tuple[list[tuple[str, int]], bool]:
        """Give ids and times of the letters after the cursor, and whether these are the last; of the span wanted."""
        low = "-inf" if wanted.since is None else math.floor(wanted.since.timestamp() * 1000)
        high = math.inf if wanted.until is None else math.ceil(wanted.until.timestamp() * 1000)
        after = _place(cursor)
        skip = 0
        while True:
            most = min(high, after[0])
            found = self.redis.zrevrangebyscore(key("dead"), most, low, start=skip, num=PAGE, withscores=True)
            rows = [(one.decode(), int(at)) for one, at in await answer(found)]
            fresh = [(one, at) for one, at in rows if (at, one) < after]
            if fresh or len(rows) < PAGE:
                return fresh, len(rows) < PAGE
            skip += PAGE  # more than a page was buried in the same millisecond


def _place(cursor: str | None) -> tuple[float, str]:
    if cursor is None:
        return math.inf, ""
    found = CURSOR.fullmatch(cursor)
    if found is None:
        raise ValueError("expected a cursor that an earlier page gave")
    return int(found[1]), found[2]


def _entry(text: bytes) -> AuditEntry:
    kept = json.loads(text)
    times = {name: datetime.fromtimestamp(kept[name] / 1000, UTC) for name in ("first", "last")}
    return AuditEntry(who=kept["who"], what=kept["what"], on=kept["on"], count=int(kept["count"]), **times)
