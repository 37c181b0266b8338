"""Parses YAML and JSON into plain values, and records the place of each value and key.

A text that begins with `{` or `[` is read as JSON; if it is not JSON, as YAML. For YAML, it reads
the event stream of libyaml (or of PyYAML, if libyaml is not installed), so that depth, size and
aliases are limited before values are built. Plain scalars are what they are in JSON, with `~`,
`True`, `+1`, `.5` and `5.` besides: `no`, `012`, `0x10`, `1_000` and `12:30:00` are texts.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from orc.ledger.bounds import INTEGER_DIGITS_MAX, digits_message
from orc.ledger.digest import clean_text
from orc.ledger.wording import size_text
from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.source.json_source import looks_like_json, places_in
from orc.scheduler.core.strict_json import parse_json

SIZE_MAX = 16 * 1024 * 1024
DEPTH_MAX = 64
ALIASED_NODES_MAX = 10_000

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, from 1."""

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(
    r"[-+]?((0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+|(0|[1-9][0-9]*)(?=[eE]))([eE][-+]?[0-9]+)?\Z"
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_PAIR = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\[^u]|(\\u[dD][89a-fA-F]..)"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIRS_MAX = 1000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """A parsed YAML document: its value, and the places of keys and values in the text."""

    value: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    files: dict[Path, str] = field(default_factory=dict)
    """Paths of texts that were read from other files, with the files' names."""
    blocks: set[Path] = field(default_factory=set)
    """Paths of block scalars (`|`, `>`). Their text starts on the line after their place."""
    written: dict[Path, str] = field(default_factory=dict)
    """How the numbers, and `true` and `false`, are written: 1.10 is more than its value."""

    def place(self, path: Path, *, key: bool = False) -> Place:
        """The place of the value (or key) at the path, or of its nearest known parent."""
        table = self.keys if key else self.values
        while path and path not in table:
            path = path[:-1]
        return table.get(path) or self.values.get(path, (1, 1))

    def has(self, path: Path) -> bool:
        """Whether there is a value at the path."""
        return path in self.values


def dotted(path: Path) -> str:
    """The path as text, such as `steps.build.files[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text or "the spec"


def parse_yaml(text: str, *, source_name: str) -> Document:
    """Parse a text with one document, YAML or JSON.

    Raises SpecError for an invalid text, a duplicate key, a tag, a merge key, more than 64 levels,
    or aliases that expand to more than 10,000 nodes.
    """
    if len(text) > SIZE_MAX:
        message = f"the file has more than {size_text(SIZE_MAX)}"
        raise SpecError(source_name, [Problem(message)])
    not_json: Problem | None = None
    if looks_like_json(text):
        try:
            return _from_json(text)
        except json.JSONDecodeError as error:
            message = f"not valid JSON: {error.msg}"
            not_json = Problem(message, error.lineno, error.colno)
        except ValueError as error:
            # YAML finds the place of a duplicate key. Elsewhere, it would accept what JSON forbids.
            message = str(error)
    try:
        document = _build(text)
        if looks_like_json(text) and not_json is None:
            raise SpecError(source_name, [Problem(message, 1, 1)])
        return document
    except _Broken as broken:
        raise SpecError(source_name, [broken.problem]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = f"not valid YAML: {error.problem or error.context}"
        problem = Problem(message, line, column)
        if not_json is not None and source_name.endswith(".json"):
            problem = not_json
        raise SpecError(source_name, [problem]) from None
    except yaml.YAMLError as error:
        message = f"not valid YAML: {' '.join(str(error).split())}"
        raise SpecError(source_name, [Problem(message)]) from None


def _from_json(text: str) -> Document:
    document = Document(parse_json(text, levels_max=DEPTH_MAX))
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    for path, offset, is_key in places_in(text):
        line = bisect_right(starts, offset)
        table = document.keys if is_key else document.values
        table[path] = (line, offset - starts[line - 1] + 1)
    return document


def _build(text: str) -> Document:
    """The document of a YAML text.

    YAML has no escapes for pairs of surrogates, such as those in JSON that is pasted into a spec.
    Each is replaced where the parser finds it: elsewhere, a backslash may be no escape.
    """
    for _ in range(_PAIRS_MAX):
        try:
            return _Builder(yaml.parse(text, Loader=_Loader)).build()
        except yaml.MarkedYAMLError as error:
            joined = _with_pairs_joined(text, error)
            if joined == text:
                raise
            text = joined
    return _Builder(yaml.parse(text, Loader=_Loader)).build()


def _with_pairs_joined(text: str, error: yaml.MarkedYAMLError) -> str:
    """The text with the pairs joined in the double-quoted scalar that has the error."""
    if error.problem_mark is None or error.context_mark is None:
        return text
    begin = error.context_mark.index
    scalar = _QUOTED.match(text, begin)
    if scalar is None or not _PAIR.match(text, error.problem_mark.index - 2):
        return text
    return text[:begin] + _PAIR.sub(_one_escape, scalar[0]) + text[scalar.end() :]


def _one_escape(pair: re.Match[str]) -> str:
    if pair[1] is None:
        # A half of a pair becomes U+FFFD, as in JSON.
        return "\\ufffd" if pair[3] is not None else pair[0]
    code = 0x10000 + ((int(pair[1], 16) & 0x3FF) << 10) + (int(pair[2], 16) & 0x3FF)
    return f"\\U{code:08x}"


class _Broken(Exception):
    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.problem = Problem(message, mark.line + 1, mark.column + 1)


class _Builder:
    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._document = Document()
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliased_nodes = 0

    def build(self) -> Document:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return self._document
        self._document.value, _ = self._node(next(self._events), ())
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _Broken("a file must contain only one YAML document", after.start_mark)
        return self._document

    def _node(self, event: Any, path: Path) -> tuple[Any, int]:
        """The value that begins with the event, and its number of nodes."""
        mark = event.start_mark
        self._document.values[path] = (mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None and event.tag != "!":
            raise _Broken(f"YAML tags are not allowed: {event.tag[:60]}", mark)
        if len(path) >= DEPTH_MAX:
            raise _Broken(f"nested more than {DEPTH_MAX} levels deep", mark)
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            if event.style in ("|", ">"):
                self._document.blocks.add(path)
            value, nodes = _scalar(event), 1
            if isinstance(value, int | float):
                self._document.written[path] = event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value, nodes = self._sequence(path)
        else:
            value, nodes = self._mapping(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, nodes)
        return value, nodes

    def _alias(self, event: Any) -> tuple[Any, int]:
        if event.anchor not in self._anchors:
            # An anchor is known only after the end of its node, so a recursive alias is unknown too.
            raise _Broken(f"the alias *{event.anchor} has no anchor before it", event.start_mark)
        value, nodes = self._anchors[event.anchor]
        self._aliased_nodes += nodes
        if self._aliased_nodes > ALIASED_NODES_MAX:
            raise _Broken(
                f"the aliases expand to more than {ALIASED_NODES_MAX} nodes", event.start_mark
            )
        return value, nodes

    def _sequence(self, path: Path) -> tuple[list[Any], int]:
        items: list[Any] = []
        nodes = 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item, count = self._node(event, (*path, len(items)))
            items.append(item)
            nodes += count
        return items, nodes

    def _mapping(self, path: Path) -> tuple[dict[str, Any], int]:
        entries: dict[str, Any] = {}
        nodes = 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            if key in entries:
                raise _Broken(f"duplicate key {key[:60]!r}", event.start_mark)
            mark = event.start_mark
            self._document.keys[*path, key] = (mark.line + 1, mark.column + 1)
            entries[key], count = self._node(next(self._events), (*path, key))
            nodes += 1 + count
        return entries, nodes

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent) or (event.tag not in (None, "!")):
            raise _Broken("a key must be a text", event.start_mark)
        if event.value == "<<" and event.implicit[0]:
            raise _Broken("merge keys (<<) are not allowed", event.start_mark)
        return clean_text(event.value)


def _whole(text: str) -> str:
    """The text with pairs of surrogates joined, which PyYAML leaves as they are."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _scalar(event: Any) -> Any:
    text = clean_text(_whole(event.value))
    # Only a plain scalar may be something other than a text.
    if not event.implicit[0]:
        return text
    try:
        return read_plain(text)
    except ValueError as error:
        raise _Broken(str(error), event.start_mark) from None


def read_plain(text: str) -> Any:
    """The value of a plain scalar. Raises ValueError for an integer with too many digits."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INT.match(text):
        if len(text) > INTEGER_DIGITS_MAX:
            raise ValueError(digits_message())
        return int(text)
    # A number that is too large for a float stays a text, such as the id 12e4567.
    if _FLOAT.match(text) and math.isfinite(float(text)):
        return float(text)
    return text
