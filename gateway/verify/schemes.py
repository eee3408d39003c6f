"""The schemes known by name: one table, a few fields per provider; the rows stand in `rows/`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.verify.rows import business, developer, messaging, standards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.verify.scheme import Scheme

STANDARD = standards.STANDARD
SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {row.name: row for row in (*standards.ROWS, *developer.ROWS, *messaging.ROWS, *business.ROWS)}
)
