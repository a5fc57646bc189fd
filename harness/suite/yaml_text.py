"""YAML as its version 1.2 reads it, with the line of every field, in bounded time and memory.

Version 1.1, which PyYAML speaks, turns 010 into 8, yes into true, 4:00 into 240 and 1e-2 into text. Here a plain word
is true, false, null, a decimal number without leading zeros (1e-2 is one), 0x or 0o with digits, or else text. Where a
number is wanted, the schema reads it from the text: 010 is 10. What explodes, holds itself or is absurdly deep is
refused.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Location = tuple[str | int, ...]
Lines = dict[Location, int]
Event = Any
"""Of PyYAML's parser."""

Value = Any
"""Whatever YAML can hold."""

LARGEST = 64 * 1024
"""Bytes of a file; the largest suite that ships has 2,000."""

MOST_VALUES, DEEPEST = 10_000, 40
"""Values, those that aliases repeat counted, and levels below each other."""

CORE = "tag:yaml.org,2002:"
WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,400}|[0-9]{1,400}(?:\.[0-9]{0,400})?)(?:[eE][-+]?[0-9]{1,9})?")
NAMED_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}

PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(ValueError):
    """What is wrong, in one line. line: where, from 1; None for the file as a whole."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class _Node:
    """A part of the document. content: text of a scalar, nodes of a list, pairs of nodes of a mapping."""

    line: int
    content: str | list[_Node] | list[tuple[_Node, _Node]]
    event: Event
    size: int


def read_text(path: Path) -> str:
    """The text of a YAML file, without its byte order mark. Raises `YamlError` or `OSError`."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise YamlError(f"larger than {LARGEST // 1024} kB")
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise YamlError(f"{error}; save it as UTF-8") from None


def parse(text: str) -> tuple[Any, Lines]:
    """The value of a YAML text, and the line of each field. Raises `YamlError` for more than one plain document."""
    if len(text) > LARGEST:
        raise YamlError(f"larger than {LARGEST // 1024} kB")
    lines: Lines = {}
    try:
        node = _Builder(yaml.parse(text, Loader=PARSER)).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise YamlError(problem, mark.line + 1 if mark else None) from None
    return (None if node is None else _value(node, (), lines)), lines


class _Builder:
    """Makes nodes of the parser's events, which come one by one, so that nothing grows before it is counted."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, _Node | None] = {}
        self._count = 0

    def document(self) -> _Node | None:
        nodes = []
        for event in self._events:
            if isinstance(event, yaml.NodeEvent):
                nodes.append(self._node(event, 0))
                if len(nodes) > 1:
                    raise YamlError("a second document begins; one file holds one", _line(event))
        return nodes[0] if nodes else None

    def _node(self, event: Event, depth: int) -> _Node:
        if depth > DEEPEST:
            raise YamlError(f"more than {DEEPEST} levels below each other", _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # until it is complete
        before = self._count
        self._add(1, event)
        node = _Node(_line(event), self._content(event, depth), event, self._count - before)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _content(self, event: Event, depth: int) -> str | list[_Node] | list[tuple[_Node, _Node]]:
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        nodes = []
        while not isinstance(inner := next(self._events), yaml.CollectionEndEvent):
            nodes.append(self._node(inner, depth + 1))
        if isinstance(event, yaml.SequenceStartEvent):
            return nodes
        return list(zip(nodes[::2], nodes[1::2], strict=True))

    def _alias(self, event: Event) -> _Node:
        if event.anchor not in self._anchors:
            raise YamlError(f"found undefined alias {event.anchor}", _line(event))
        node = self._anchors[event.anchor]
        if node is None:
            raise YamlError(f"{event.anchor} holds itself", _line(event))
        self._add(node.size, event)
        return node

    def _add(self, values: int, event: Event) -> None:
        self._count += values
        if self._count > MOST_VALUES:
            raise YamlError(f"more than {MOST_VALUES:,} values, those that aliases repeat counted", _line(event))


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _value(node: _Node, at: Location, lines: Lines) -> Value:
    """The value of a node; the lines of all fields below it go into `lines`."""
    if isinstance(node.event, yaml.ScalarEvent):
        return _scalar(node)
    mapping = isinstance(node.event, yaml.MappingStartEvent)
    if node.event.tag not in (None, "!", CORE + ("map" if mapping else "seq")):
        raise YamlError(f"{node.event.tag} is no tag of plain values", node.line)
    return _mapping(node, at, lines) if mapping else _sequence(node, at, lines)


def _sequence(node: _Node, at: Location, lines: Lines) -> list[Any]:
    values = []
    for index, inner in enumerate(node.content):
        assert isinstance(inner, _Node)
        lines[(*at, index)] = inner.line
        values.append(_value(inner, (*at, index), lines))
    return values


def _mapping(node: _Node, at: Location, lines: Lines) -> dict[Any, Any]:
    values: dict[Any, Any] = {}
    merged: dict[Any, Any] = {}
    for pair in node.content:
        assert isinstance(pair, tuple)
        key, inner = pair
        if not isinstance(key.content, str):
            raise YamlError("a list or mapping is no name of a field", key.line)
        place = (*at, key.content)
        if place in lines:
            raise YamlError(f"{key.content} is given twice", key.line)
        lines[place] = key.line
        value = _value(inner, place, lines)
        if key.content == "<<" and not key.event.style:
            merged |= _merged(value, key.line)
        else:
            values[_scalar(key)] = value
    return merged | values


def _merged(value: Value, line: int) -> dict[Any, Any]:
    """What `<<` takes from one mapping or several, the first of which wins."""
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in parts):
        raise YamlError("<< takes a mapping, or a list of mappings", line)
    return {key: inner for part in reversed(parts) for key, inner in part.items()}


def _scalar(node: _Node) -> Value:
    text, tag = str(node.content), node.event.tag
    if tag is None:
        return _plain(text) if node.event.implicit[0] else text
    if tag in ("!", CORE + "str"):
        return text
    value = _plain(text)
    if not isinstance(value, KINDS.get(tag.removeprefix(CORE), ())):
        raise YamlError(f"{text!r} is no value of the tag {tag}", node.line)
    return value


def _plain(text: str) -> Value:
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text, 0)
    if NAMED_FLOAT.fullmatch(text):
        return float(text.replace(".", ""))
    return float(text) if FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit() else text


def booleans_for_numbers(raw: Value, validated: Value, at: Location = ()) -> Iterator[Location]:
    """Places where a file says true or false and the schema made a number of it."""
    if isinstance(raw, bool):
        if not isinstance(validated, bool) and isinstance(validated, int | float):
            yield at
    elif isinstance(raw, dict) and isinstance(validated, dict):
        for key in raw.keys() & validated.keys():
            yield from booleans_for_numbers(raw[key], validated[key], (*at, key))
    elif isinstance(raw, list) and isinstance(validated, list | tuple):
        for index, pair in enumerate(zip(raw, validated, strict=False)):
            yield from booleans_for_numbers(*pair, (*at, index))
