"""Records that are made for each request: frozen to the type checker, and made as cheaply as any other object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a frozen, slotted, keyword-only dataclass that mypy holds to be frozen.

    A `dataclass(frozen=True)` sets each field by a call of `object.__setattr__`, which makes it three times as dear: of
    a webhook's way through the gateway that was seven percent.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
