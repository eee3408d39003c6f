"""Text without links and markup: what a model made of somebody else's text must not become a trap for its reader."""

from __future__ import annotations

import re
from typing import Any

LINK = "[link]"
MOST_ROUNDS = 5  # markup may stand within markup; what is left after so many rounds loses its brackets

# Every repetition is bounded, so that time is linear in the length of the text, whatever it holds.
MARKDOWN = re.compile(r"!?\[([^\[\]]{0,500})\](?:\([^()]{0,2000}\)|\[[^\[\]]{0,200}\])")
DEFINITION = re.compile(r"(?m)^[ \t]{0,3}\[[^\[\]]{1,200}\]:[^\n]{0,2000}$")
TAG = re.compile(r"<(?:[a-zA-Z/!?@#][^<>]{0,2000})>")
REST = r"[^\s<>\"']"  # what a URL may go on with
URL = re.compile(
    rf"(?i)\b(?:[a-z][a-z0-9+.-]{{1,20}}:(?://|\\\\){REST}{{0,2000}}"
    rf"|(?:www\.|(?:mailto|javascript|data|tel|vbscript):){REST}{{1,2000}})"
)


def bare(text: str) -> str:
    """Give the text without HTML, without Markdown's links and images (their words stay), its URLs as `[link]`."""
    for _ in range(MOST_ROUNDS):
        before = text
        text = URL.sub(LINK, TAG.sub("", DEFINITION.sub("", MARKDOWN.sub(r"\1", text))))
        if text == before:
            return text
    return re.sub(r"[<>\[\]]", "", text)


def bare_values(value: Any) -> Any:
    """Do that to every text within plain JSON values; the names of fields stay as they are."""
    match value:
        case str():
            return bare(value)
        case list():
            return [bare_values(one) for one in value]
        case dict():
            return {name: bare_values(one) for name, one in value.items()}
    return value
