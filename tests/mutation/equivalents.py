"""The survivors that are known to change nothing anyone can see: the tables of README.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

README = Path(__file__).with_name("README.md")
ROW = re.compile(r"\| `(?P<place>[^`]+)` \| `(?P<before>[^`]+)` \| `(?P<after>[^`]+)` \| (?P<reason>.+?) \|")


class Survivor(NamedTuple):
    """A mutant that no test tells from the sound code: its file, and its code before and after, on one line each."""

    place: str
    before: str
    after: str

    @property
    def row(self) -> str:
        """The row of the table, but for the reason."""
        before, after = (text.replace("|", r"\|") for text in (self.before, self.after or "(removed)"))
        return f"| `{self.place}` | `{before}` | `{after}` | ? |"


def equivalents() -> dict[Survivor, str]:
    """Give the listed ones with the reason of each."""
    found = {}
    for line in README.read_text(encoding="utf-8").splitlines():
        if match := ROW.fullmatch(line):
            before, after = (match[name].replace(r"\|", "|") for name in ("before", "after"))
            found[Survivor(match["place"], before, "" if after == "(removed)" else after)] = match["reason"]
    return found


def judge(survivors: Iterable[Survivor], *, tried: Iterable[str]) -> int:
    """Print which survivors are not listed, and which listed ones were killed; give the exit code, 0 or 1.

    `tried` are the places of which every mutant was tried: only a row of theirs can be out of date.
    """
    seen, places, known = set(survivors), set(tried), equivalents()
    new = [one for one in sorted(seen) if one not in known]
    stale = [one for one in known if one.place in places and one not in seen]
    for title, rows in (
        ("Survivors that no row of tests/mutation/README.md names:", new),
        ("Rows that are stale:", stale),
    ):
        if rows:
            print(f"\n{title}", *(one.row for one in rows), sep="\n")
    return 1 if new or stale else 0
