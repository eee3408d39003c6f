"""Answers into values: the schema a model is shown, and the check of what it wrote."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from actors.llm.plain import bare, bare_values

if TYPE_CHECKING:
    from actors.llm.records import Schema


class Misfit(Exception):  # noqa: N818 - the model's slip, not a fault of ours
    """An answer that does not fit; `complaint` is for the model, the text (error types only) for everybody else."""

    def __init__(self, error: ValidationError) -> None:
        """Take the validator's error."""
        found = error.errors(include_url=False, include_input=False, include_context=False)
        super().__init__(", ".join(sorted({line["type"] for line in found})))
        self.complaint = "\n".join(f"- {'.'.join(map(str, line['loc'])) or 'value'}: {line['msg']}" for line in found)


def is_text(into: Any) -> bool:
    """Whether the answer is the model's text as it stands: None, str, or str with rules."""
    return into in (None, str) or (get_origin(into) is Annotated and get_args(into)[0] is str)


def schema_of(into: Any) -> Schema | None:
    """Give the JSON Schema of what an answer must be; None for plain text."""
    return None if is_text(into) else adapter(into).json_schema()


def read(text: str, *, into: Any, plain: bool = False) -> Any:
    """Turn a model's answer into the value; a Markdown fence around the JSON is forgiven. Raises Misfit.

    `plain` takes links and markup out of it first, so that it is the rest that has to fit.
    """
    try:
        if is_text(into):
            return adapter(into).validate_python(bare(text) if plain else text)
        return adapter(into).validate_json(_bare_json(_unfence(text)) if plain else _unfence(text))
    except ValidationError as error:
        raise Misfit(error) from None


def text_of(value: Any, *, into: Any) -> str:
    """Give a value as the text that a model would have to write for it."""
    return value if isinstance(value, str) else adapter(into).dump_json(value, indent=1).decode()


def adapter(into: Any) -> TypeAdapter[Any]:
    """Give what validates and dumps such values."""
    return _adapter(into or str)


@lru_cache(maxsize=256)
def _adapter(into: Any) -> TypeAdapter[Any]:
    return TypeAdapter(into)


def _bare_json(text: str) -> str | bytes:
    try:
        return to_json(bare_values(from_json(text)))
    except ValueError:  # no JSON: the validator says so better
        return text


def _unfence(text: str) -> str:
    text = text.strip()
    if not text.startswith("```"):
        return text
    return text.partition("\n")[2].rpartition("```")[0]
