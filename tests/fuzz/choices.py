"""An input is bytes, whichever engine made it; a target reads its choices off them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

Option = TypeVar("Option")
CORPUS = Path(__file__).parent / "corpus"


class Choices:
    """Choices read off an input; where it ends, every choice is the first one, which is the simplest."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._place = raw, 0

    def __repr__(self) -> str:
        return f"Choices({self._raw!r})"

    def number(self, most: int) -> int:
        """Choose from 0 to `most`."""
        return int.from_bytes(self._take((most.bit_length() + 7) // 8), "little") % (most + 1)

    def blob(self, most: int) -> bytes:
        """Choose up to `most` bytes."""
        return self._take(self.number(most))

    def pick(self, options: Sequence[Option]) -> Option:
        """Choose one of the options."""
        return options[self.number(len(options) - 1)]

    def rest(self) -> bytes:
        """Take all that is left of the input as it is."""
        return self._take(len(self._raw))

    def _take(self, size: int) -> bytes:
        taken = self._raw[self._place : self._place + size]
        self._place += size
        return taken


def altered(raw: bytes, choices: Choices, words: Sequence[bytes]) -> bytes:
    """Alter bytes in one place: insert, overwrite, cut out, cut off, double, flip a bit, move to the end."""
    start = choices.number(len(raw))
    end = min(len(raw), start + choices.number(16))
    new = choices.pick((None, *words))
    new = choices.blob(12) if new is None else new
    before, piece, after = raw[:start], raw[start:end], raw[end:]
    flipped = bytes(byte ^ 1 << choices.number(7) for byte in raw[start : start + 1])
    return choices.pick(
        (
            before + new + piece + after,
            before + new + after,
            before + after,
            before,
            before + piece + piece + after,
            before + flipped + raw[start + 1 :],
            before + after + piece,
        )
    )


def corpus(target: str) -> list[bytes]:
    """Read the kept inputs of a target: a line each, in base64."""
    return [base64.b64decode(line) for line in (CORPUS / f"{target}.txt").read_text().split()]


def keep(target: str, inputs: Sequence[bytes]) -> None:
    """Write the inputs of a target to be kept, the shortest first."""
    lines = [written(raw) for raw in sorted(inputs, key=lambda raw: (len(raw), raw)) if raw]
    (CORPUS / f"{target}.txt").write_text("\n".join([*lines, ""]))


def written(raw: bytes) -> str:
    """Write an input as the corpus has it."""
    return base64.b64encode(raw).decode()
