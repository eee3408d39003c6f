"""What is wrong with a configuration, said in one line each and never with a secret's value."""

from __future__ import annotations

import difflib
import json
import re
from datetime import date, time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Key = tuple[str | int, ...]
BARE = re.compile(r"[A-Za-z0-9_#-]+")
# A secret pasted into the wrong key must not come back in an error: providers mark theirs by these openings.
SECRET_LIKE = re.compile(
    r"whs|sk[-_]|rk[-_]|pk[-_]|gh[a-z]_|github_|glpat-|xox|xapp|hm_|AKIA|AIza|eyJ|Bearer ", re.IGNORECASE
)
LONGEST_SHOWN = 40


class ConfigError(Exception):
    """What is wrong with the configuration: `str()` is a line per mistake, all mistakes of a file at once.

    A line names the file, the dotted key, what was expected, what was got, and the nearest known name:
    `hookmill.toml: sources.blog.limt: unknown key; did you mean 'limit'?`. It never holds a secret's value.
    """

    def __init__(self, *lines: str) -> None:
        """Take one line per mistake."""
        super().__init__("\n".join(lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """The mistakes, one line each."""
        return tuple(str(self).splitlines())


def expected(what: str, got: object, *, known: Iterable[str] = ()) -> ValueError:
    """Make the error for a value that is not `what`, with the nearest of the `known` names."""
    hint = nearest(got, known) if isinstance(got, str) else ""
    return ValueError(f"expected {what}, got {shown(got)}{hint}")


def nearest(word: str, known: Iterable[str]) -> str:
    """Say "; did you mean 'limit'?", or nothing where no known name is near."""
    spelled = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), spelled, n=1)
    return f"; did you mean {spelled[close[0]]!r}?" if close else ""


def shown(value: object) -> str:
    """Show a value in an error: short texts and numbers as they are, everything else by its sort alone."""
    if isinstance(value, str):
        unfit = len(value) > LONGEST_SHOWN or SECRET_LIKE.match(value)
        return f"a text of {len(value)} characters" if unfit else repr(value)
    if isinstance(value, bool | int | float) and len(text := json.dumps(value)) <= LONGEST_SHOWN:
        return text
    return sort(value)


def sort(value: object) -> str:
    """Name what sort of value it is, as TOML and YAML call it, and nothing of what is in it."""
    sorts: dict[str, tuple[type, ...]] = {
        "a text": (str,),
        "a boolean": (bool,),
        "a number": (int, float),
        "a list": (list, tuple),
        "a table": (dict,),
        "a date or time": (date, time),
    }
    return next((name for name, kinds in sorts.items() if isinstance(value, kinds)), "nothing")


def dotted(key: Key) -> str:
    """Write a key as it stands in the file: `sources.blog.secrets[0]`; odd names are quoted."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in key)
    return "".join(parts).removeprefix(".")


def _quoted(name: str) -> str:
    return name if BARE.fullmatch(name) else json.dumps(name)
