"""What a step's output is read as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.steps import returns

if TYPE_CHECKING:
    from collections.abc import Sequence


def shout(words: Sequence[str]) -> list[str]:
    return [word.upper() for word in words]


def test_a_return_type_counts_also_where_arguments_are_told_to_type_checkers_only():
    assert returns(shout).validate_json('["A"]') == ["A"]
    assert returns(shout).json_schema() == {"items": {"type": "string"}, "type": "array"}
