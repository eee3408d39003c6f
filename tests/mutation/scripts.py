"""Mutants of Lua: every comparison, branch, constant, sign and statement of a script, changed one at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = re.compile(
    r"""(?P<comment>\#![^\n]*|--\[\[.*?\]\]|--[^\n]*)
      | (?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>\.\.\.|\.\.|==|~=|<=|>=|[-+*/%^\#<>=(){}\[\];:,.])
      | (?P<space>\s+)""",
    re.VERBOSE | re.DOTALL,
)
FUNCTION = re.compile(r"^local function (\w+)", re.MULTILINE)
COMPARISONS = {
    "==": ("~=",), "~=": ("==",),
    "<": (">=", "<="), "<=": (">", "<"), ">": ("<=", ">="), ">=": ("<", ">"),
}  # fmt: skip
WORDS = {"and": "or", "or": "and", "true": "false", "false": "true"}
SIGNS = {"+": "-", "-": "+", "*": "/", "/": "*"}
OPENS, CLOSES = ("(", "{", "["), (")", "}", "]")


class Token(NamedTuple):
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Mutant(NamedTuple):
    """One change: the whole text with it, and the code around it before and after, on one line each."""

    text: str
    before: str
    after: str
    function: str  # that it stands in; "" outside any


def mutants(text: str) -> list[Mutant]:
    """List the mutants of a script in the order of its lines; no two have the same text."""
    made = {mutant.text: mutant for start, end, new in _changes(text) for mutant in [_mutant(text, start, end, new)]}
    return [mutant for mutant in made.values() if mutant.text != text]


def tokens(text: str) -> list[Token]:
    """List the tokens but for comments and spaces; ValueError for what is no token of Lua."""
    found, place = [], 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"no token of Lua: {text[place : place + 20]!r}")
        if match.lastgroup not in {"comment", "space"}:
            found.append(Token(str(match.lastgroup), match[0], place))
        place = match.end()
    return found


def _mutant(text: str, start: int, end: int, new: str) -> Mutant:
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    last = len(text) if last < 0 else last
    before, after = text[first:last], text[first:start] + new + text[end:last]
    functions = FUNCTION.findall(text, 0, start)
    return Mutant(text[:start] + new + text[end:], _bare(before), _bare(after), functions[-1] if functions else "")


def _bare(code: str) -> str:
    """Give some code on one line, without its comments."""
    return " ".join(re.sub(r"--.*", "", code).split())


def _changes(text: str) -> Iterator[tuple[int, int, str]]:
    found = tokens(text)
    for at, token in enumerate(found):
        for new in _replacements(found, at):
            yield token.start, token.end, new
        if token.text in {"if", "elseif", "while"}:
            yield from _conditions(text, found, at)
        if (end := _statement(text, found, at)) is not None:
            yield token.start, end, ""


def _replacements(found: list[Token], at: int) -> Iterator[str]:
    kind, word, _ = found[at]
    if kind == "number":
        yield from _numbers(word, index=found[at - 1].text == "[")
    elif kind == "string" and not _is_command(found, at):
        yield word[0] + "other " + word[1:]
    elif kind == "name" and word in WORDS:
        yield WORDS[word]
    elif word in {"not", "break"}:
        yield ""
    elif word in COMPARISONS:
        yield from COMPARISONS[word]
    elif word in SIGNS:
        yield SIGNS[word] if _is_operand(found[at - 1]) else ""


def _numbers(word: str, *, index: bool) -> list[str]:
    """Give its neighbours and zero; of an index one neighbour, for any other field is as wrong.

    Of hundreds and more, which are times in ms, the double and the half: nobody promises a millisecond.
    """
    value, step = (float(word), 0.1) if "." in word else (int(word), 1)
    near = [value * 2, value // 2] if value >= 100 else [value + step, value - step]
    return [f"{one:.15g}" for one in ([value + step] if index else [*near, 0])]


def _is_command(found: list[Token], at: int) -> bool:
    """Whether it is the name of a Redis command: another one would fail in any test that comes by."""
    return at > 1 and found[at - 1].text == "(" and found[at - 2].text in {"call", "pcall"}


def _is_operand(token: Token) -> bool:
    words = {"return", "and", "or", "not", "then", "do", "in", "else"}
    return (token.kind in {"number", "string", "name"} and token.text not in words) or token.text in CLOSES


def _conditions(text: str, found: list[Token], at: int) -> Iterator[tuple[int, int, str]]:
    """Negate, force and forbid a condition; a lone comparison is negated already."""
    last = next(place for place in range(at, len(found)) if found[place].text in {"then", "do"})
    inside = found[at + 1 : last]
    start, end = inside[0].start, inside[-1].end
    yield start, end, "true"
    yield start, end, "false"
    plain = {"and", "or", "not"}.isdisjoint(token.text for token in inside)
    if not (plain and any(token.text in COMPARISONS for token in inside)):
        yield start, end, f"not ({text[start:end]})"


def _statement(text: str, found: list[Token], at: int) -> int | None:
    """Tell where a call that is a statement of its own ends; None where there is none."""
    begins = found[at].kind == "name" and found[at].text not in {"if", "for", "while", "return", "local", "function"}
    fresh = not text[text.rfind("\n", 0, found[at].start) + 1 : found[at].start].strip()
    after = at > 0 and found[at - 1].text in {"then", "do", "else"}
    if not (begins and (fresh or after)) or (fresh and _depth(found, at) > 0):
        return None
    while at + 2 < len(found) and found[at + 1].text == ".":
        at += 2
    opening = found[at + 1 :]
    if not opening or opening[0].text != "(":
        return None
    depth = 0
    for token in opening:
        depth += (token.text in OPENS) - (token.text in CLOSES)
        if depth == 0:
            return token.end
    return None


def _depth(found: list[Token], at: int) -> int:
    return sum((token.text in OPENS) - (token.text in CLOSES) for token in found[:at])
