"""Answers into values: the schema a model is shown, and the check of what it wrote."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from actors.llm.records import Schema


class Misfit(Exception):  # noqa: N818 - the model's slip, not a fault of ours
    """An answer that does not fit; `complaint` is for the model, the text (error types only) for everybody else."""

    def __init__(self, error: ValidationError) -> None:
        """Take the validator's error."""
        found = error.errors(include_url=False, include_input=False, include_context=False)
        super().__init__(", ".join(sorted({line["type"] for line in found})))
        self.complaint = "\n".join(f"- {'.'.join(map(str, line['loc'])) or 'value'}: {line['msg']}" for line in found)


def schema_of(into: Any) -> Schema | None:
    """Give the JSON Schema of what an answer must be; None for plain text."""
    return None if into in (None, str) else _adapter(into).json_schema()


def read(text: str, *, into: Any) -> Any:
    """Turn a model's answer into the value; a Markdown fence around the JSON is forgiven. Raises Misfit."""
    if into in (None, str):
        return text
    try:
        return _adapter(into).validate_json(_unfence(text))
    except ValidationError as error:
        raise Misfit(error) from None


@lru_cache(maxsize=256)
def _adapter(into: Any) -> TypeAdapter[Any]:
    return TypeAdapter(into)


def _unfence(text: str) -> str:
    text = text.strip()
    if not text.startswith("```"):
        return text
    return text.partition("\n")[2].rpartition("```")[0]
