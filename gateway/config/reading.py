"""One configuration file being read: its place, the environment, and the mistakes found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.config.errors import ConfigError, Key, dotted, nearest, shown, sort
from gateway.config.values import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails


class Table(BaseModel):
    """A table as it is written: None stands for "not written", so defaults live with the public records alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def written(self, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Give the keys that the file does set, but those in `without`."""
        return {key: value for key, value in self if value is not None and key not in without}


TableT = TypeVar("TableT", bound=Table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A file and what was found wrong in it; `finish()` raises all of that at once."""

    path: Path
    env: Mapping[str, str] = field(repr=False)
    mistakes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Read the file as UTF-8. Raises ConfigError."""
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise ConfigError(f"{self.path}: not found; `hookmill init` writes one") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.path}: expected UTF-8 text, got another byte at offset {error.start}") from None
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}") from None

    def wrong(self, key: Key, what: str) -> None:
        """Note a mistake."""
        self.mistakes.append(f"{self.path}: {dotted(key)}: {what}")

    def finish(self) -> None:
        """Raise a ConfigError with every mistake noted, if there is one."""
        if self.mistakes:
            raise ConfigError(*self.mistakes)

    def located(self, path: str) -> Path:
        """Make a path of the file absolute: relative ones start at the file's folder, `~/` at $HOME."""
        if path.startswith("~/") and (home := self.env.get("HOME")):
            return Path(home, path[2:])
        return self.path.absolute().parent / path

    def table(self, kind: type[TableT], raw: object, *, at: Key) -> TableT | None:
        """Read a table, or note what is wrong with it and give None."""
        try:
            return kind.model_validate(raw, context=self)
        except ValidationError as error:
            for flaw in error.errors(include_url=False):
                self.wrong((*at, *flaw["loc"]), _explain(flaw, kind))
            return None

    def named(self, raw: object, *, at: Key) -> dict[str, object]:
        """Read a table of named tables, such as [sources.*]; nothing written counts as none."""
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            self.wrong(at, f"expected a table, got {sort(raw)}")
            return {}
        for name in raw:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                self.wrong((*at, str(name)), "expected a name of letters, digits, '_' and '-', at most 64 characters")
        return {str(name): value for name, value in raw.items()}


def _explain(flaw: ErrorDetails, kind: type[Table]) -> str:
    where = flaw["loc"]
    match flaw["type"]:
        case "value_error":
            return str(flaw["ctx"]["error"])
        case "missing":
            about = _fields(kind, where[:-1])[str(where[-1])]
            return f"missing; expected {about}"
        case "extra_forbidden":
            return f"unknown key{nearest(str(where[-1]), _fields(kind, where[:-1]))}"
        case "tuple_type":
            return f"expected a list, got {sort(flaw['input'])}"
        case "invalid_key":
            return f"expected a key that is text, got {shown(flaw['input'])}"
        case _:
            return f"expected a table, got {sort(flaw['input'])}"


def _fields(kind: type[Table], where: Key) -> dict[str, str]:
    """Find the keys that the table at `where` inside `kind` knows, each with its description."""
    for part in where:
        held = kind.model_fields[str(part)].annotation
        kind = next(one for one in (held, *get_args(held)) if isinstance(one, type) and issubclass(one, Table))
    return {name: field.description or "a value" for name, field in kind.model_fields.items()}
