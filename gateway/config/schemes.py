"""A source's scheme: a known name, or an inline [sources.x.scheme] table, and the keys that its secrets make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PlainValidator

from gateway.config.errors import Key, expected
from gateway.config.reading import Reading, Table
from gateway.config.values import Duration, FieldName, Identity, String, Text, choice
from gateway.verify import MOST_SECRETS, SCHEMES, Scheme, read_keys, template

if TYPE_CHECKING:
    from gateway.config.secret import SecretTable

KEYS = ("raw", "hex", "base64", "whsec")
NAMES = "a scheme (`hookmill schemes` lists them), or a table"


def _key(value: object) -> object:
    # Who takes `key` for the place of the secret must not find it in the error.
    if value not in KEYS:
        raise ValueError(f"expected one of {', '.join(KEYS)}: how the text of a secret becomes the key")
    return value


def _named_or_inline(value: object) -> object:
    if isinstance(value, dict) or (isinstance(value, str) and value in SCHEMES):
        return value
    raise expected(NAMES, value, known=SCHEMES)


SchemeRef = Annotated[object, PlainValidator(_named_or_inline)]


class SchemeTable(Table):
    """The keys of [sources.x.scheme], as `gateway.verify.template` takes them."""

    header: FieldName = Field(description="the name of the header with the signature")
    prefix: String | None = None
    separator: String | None = None
    signed: Text | None = None
    digest: Annotated[str, PlainValidator(choice("sha1", "sha256", "sha512"))] | None = None
    encoding: Annotated[str, PlainValidator(choice("hex", "base64"))] | None = None
    key: Annotated[str, PlainValidator(_key)] | None = None
    timestamp_header: FieldName | None = None
    timestamp_item: String | None = None
    timestamp_unit: Annotated[str, PlainValidator(choice("s", "ms", "iso"))] | None = None
    event_id: Identity | None = None
    tolerance: Duration | None = None


def read_scheme(reading: Reading, raw: object, *, at: Key) -> Scheme | None:
    """Give the scheme of that name, or make the one that the table describes; notes mistakes and then gives None."""
    if isinstance(raw, str):
        return SCHEMES[raw]
    table = reading.table(SchemeTable, raw, at=at)
    try:
        return template(**table.written()) if table else None
    except ValueError as error:
        field, _, what = str(error).partition(": ")  # the line begins with the field at fault
        field = {"id_header": "event_id", "dedupe": "event_id"}.get(field, field)
        reading.wrong((*at, field), what)
        return None


def check_keys(reading: Reading, scheme: Scheme, table: SecretTable, *, at: Key) -> None:
    """Note every secret that the scheme cannot turn into a key, such as one that is not base64; and too many."""
    if len(table.placed(at=at)) > MOST_SECRETS:
        reading.wrong((*at, "secrets"), f"expected at most {MOST_SECRETS}, got {len(table.placed(at=at))}")
    for key, secret in table.placed(at=at):
        try:
            read_keys(scheme, [secret.reveal().encode()])
        except ValueError as error:
            reading.wrong(key, f"{secret.origin} {str(error).removeprefix('secrets: number 1 ')}")
