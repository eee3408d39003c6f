"""JSON pointers (RFC 6901) into bodies that may not be JSON at all."""

from __future__ import annotations

import json
import re
from typing import Any

INDEX = re.compile("0|[1-9][0-9]{0,8}")


def read_json(body: bytes) -> Any:
    """Parse a body as JSON in UTF-8; None where it is not."""
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        return None


def point(document: Any, pointer: str) -> Any:
    """Follow a JSON pointer; None where it leads nowhere."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and INDEX.fullmatch(name):
            document = document[int(name)] if int(name) < len(document) else None
        else:
            return None
    return document


def point_text(document: Any, pointer: str) -> str | None:
    """Follow a JSON pointer to a text or a whole number, written as text; None where there is neither."""
    value = point(document, pointer)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
