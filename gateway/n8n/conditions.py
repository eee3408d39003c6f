"""The one shape of conditions that n8n judges as written.

Its IF node fails open: with no condition, with conditions of its first version ({"boolean": [...]}) or with something
that is no object, it takes the way "true" without a word. So any other shape than this is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = {
    "string": {
        *("equals", "notEquals", "contains", "notContains", "startsWith", "notStartsWith", "endsWith", "notEndsWith"),
        *("regex", "notRegex"),
    },
    "number": {"equals", "notEquals", "gt", "lt", "gte", "lte"},
    "boolean": {"equals", "notEquals"},
    "dateTime": {"equals", "notEquals", "after", "before", "afterOrEquals", "beforeOrEquals"},
    "array": {"contains", "notContains"},
}
SINGLE = {
    "string": {"exists", "notExists", "empty", "notEmpty"},
    "number": {"exists", "notExists"},
    "boolean": {"true", "false"},
    "dateTime": {"exists", "notExists"},
    "array": {"exists", "notExists", "empty", "notEmpty"},
    "object": {"exists", "notExists", "empty", "notEmpty"},
}
KEYS = {"options", "conditions", "combinator"}
OPTIONS = {"caseSensitive", "leftValue", "typeValidation", "version"}
CONDITION = {"id", "leftValue", "rightValue", "operator"}
OPERATOR = {"type", "operation", "singleValue", "name"}
TRIED_VERSIONS = (2, 3)


def wrong_conditions(conditions: Any) -> Iterator[str]:
    """Tell what is wrong with the conditions of an IF, a Filter, or a rule of a Switch."""
    if not isinstance(conditions, dict) or set(conditions) != KEYS:
        yield "conditions are not of IF's second version ({options, conditions, combinator}): n8n lets everything pass"
        return
    options = conditions["options"]
    if not isinstance(options, dict) or not set(options) <= OPTIONS or options.get("version") not in TRIED_VERSIONS:
        yield "conditions.options are not {caseSensitive, leftValue, typeValidation, version: 3}"
    elif options.get("typeValidation") != "strict":
        yield 'conditions.options.typeValidation is not "strict"'
    if conditions["combinator"] not in {"and", "or"}:
        yield "conditions.combinator is neither and nor or"
    listed = conditions["conditions"]
    if not isinstance(listed, list) or not listed:
        yield "there is no condition: n8n lets everything pass"
        return
    for number, one in enumerate(listed, 1):
        yield from (f"condition {number}: {text}" for text in _condition(one))


def _condition(one: Any) -> Iterator[str]:
    if not isinstance(one, dict) or not {"leftValue", "operator"} <= set(one) <= CONDITION:
        yield "is not {id, leftValue, rightValue, operator}"
        return
    if one["leftValue"] in (None, "", "="):
        yield "leftValue is empty"
    operator = one["operator"]
    if not isinstance(operator, dict) or not set(operator) <= OPERATOR:
        yield "operator is not {type, operation}"
        return
    kind, operation = operator.get("type"), operator.get("operation")
    if operation in SINGLE.get(str(kind), set()):
        if operator.get("singleValue") is not True:
            yield f"operator {operation} takes one value, but singleValue is not true"
    elif operation not in OPERATIONS.get(str(kind), set()):
        yield f"there is no operation {operation!r} of {kind!r}"
    elif one.get("rightValue") in (None, ""):
        yield "rightValue is empty"
