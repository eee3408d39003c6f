"""YAML as PyYAML's safe loader reads it, but a key that stands twice is an error, as is an anchor inside itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gateway.config.errors import ConfigError, shown

if TYPE_CHECKING:
    from gateway.config.reading import Reading


def parse_yaml(reading: Reading) -> object:
    """Parse the file's only document. Raises ConfigError with the line, never with the line's text."""
    text = reading.text()
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(reading, node, above=(), seen=set())
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _broken(reading, line=mark.line + 1 if mark else 1, what=error.problem or "syntax error") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _broken(reading, line=line, what=f"character U+{_code(error):04X} is not allowed") from None
    except (ValueError, RecursionError):  # 2026-13-45 reads as a date
        raise ConfigError(f"{reading.path}: not YAML: a date, a number or a nesting is beyond all bounds") from None


def _check(reading: Reading, node: yaml.Node, *, above: tuple[int, ...], seen: set[int]) -> None:
    """Walk the nodes before values are made: merging (`<<`) makes duplicates that are meant."""
    if id(node) in above:
        raise _broken(reading, line=node.start_mark.line + 1, what="an anchor contains itself")
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        _check_keys(reading, node)
    children = node.value if isinstance(node, yaml.SequenceNode) else [half for pair in node.value for half in pair]
    for child in children:
        _check(reading, child, above=(*above, id(node)), seen=seen)


def _check_keys(reading: Reading, node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                raise _broken(reading, line=key.start_mark.line + 1, what=f"key {shown(key.value)} stands twice")
            seen.add((key.tag, key.value))


def _code(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")


def _broken(reading: Reading, *, line: int, what: str) -> ConfigError:
    return ConfigError(f"{reading.path}: line {line}: not usable YAML: {' '.join(what.split())}")
