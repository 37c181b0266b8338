"""Parses YAML and JSON into plain values, and finds the place of each value and key.

A text that begins with `{` or `[` is read as JSON; if it is not JSON, as YAML. For YAML, it reads
the event stream of libyaml (or of PyYAML, if libyaml is not installed), so that depth, size and
aliases are limited before values are built. Plain scalars are what they are in JSON, with `~`,
`True`, `+1`, `.5` and `5.` besides: `no`, `012`, `0x10`, `1_000` and `12:30:00` are texts.

The places are read from the text when the first one is asked for, which is most often for a problem:
they take more memory than the values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from sys import intern
from typing import Any

import yaml
from msgspec import Struct, field

from orc.ledger.digest import clean_text
from orc.ledger.wording import size_text
from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.source import SIZE_MAX
from orc.scheduler.core.source.json_source import looks_like_json
from orc.scheduler.core.source.paths import Path as Path
from orc.scheduler.core.source.places import Place, Places, places_of_json, places_of_yaml
from orc.scheduler.core.source.plain_scalars import read_plain
from orc.scheduler.core.source.yaml_mistakes import mistake_in
from orc.scheduler.core.strict_json import parse_json

DEPTH_MAX = 64
ALIASED_NODES_MAX = 10_000

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_PAIR = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\[^u]|(\\u[dD][89a-fA-F]..)"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIRS_MAX = 1000
_SHARED_CHARS_MAX = 64
"""Texts of at most this length are one object wherever they stand: keys, ids, names in `needs`."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Document(Struct):
    """A parsed YAML document: its value, and the places of keys and values in the text."""

    value: Any = None
    files: dict[Path, str] = field(default_factory=dict)
    """Paths of texts that were read from other files, with the files' names."""
    read_places: Callable[[], Places] = Places
    """Reads the places of the keys and values."""
    _places: Places | None = None

    @property
    def places(self) -> Places:
        """The places of the keys and values, which the first use reads."""
        if self._places is None:
            self._places = self.read_places()
        return self._places

    def place(self, path: Path, *, key: bool = False) -> Place:
        """The place of the value (or key) at the path, or of its nearest known parent."""
        return self.places.of(path, key=key)

    def has(self, path: Path) -> bool:
        """Whether there is a value at the path, which may be inside that of an alias."""
        value = self.value
        for part in path:
            if part not in _parts_of(value):
                return False
            value = value[part]
        return True


def _parts_of(value: Any) -> Container[str | int]:
    if isinstance(value, list):
        return range(len(value))
    return value if isinstance(value, dict) else ()


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
    except yaml.YAMLError as error:
        problem = mistake_in(text, error)
        if not_json is not None and source_name.endswith(".json"):
            problem = not_json
        raise SpecError(source_name, [problem]) from None


def _from_json(text: str) -> Document:
    value = parse_json(text, levels_max=DEPTH_MAX)
    return Document(value, read_places=lambda: places_of_json(text))


def _build(text: str) -> Document:
    """The document of a YAML text.

    YAML has no escapes for pairs of surrogates, such as those in JSON that is pasted into a spec.
    Each is replaced where the parser finds it: elsewhere, a backslash may be no escape.
    """
    for _ in range(_PAIRS_MAX):
        try:
            return _document(text)
        except yaml.MarkedYAMLError as error:
            joined = _with_pairs_joined(text, error)
            if joined == text:
                raise
            text = joined
    return _document(text)


def _document(text: str) -> Document:
    value = _Builder(text).build()
    return Document(value, read_places=lambda: places_of_yaml(yaml.parse(text, Loader=_Loader)))


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
    """Builds the value of a text, and refuses what a spec must not have."""

    def __init__(self, text: str) -> None:
        self._next = yaml.parse(text, Loader=_Loader).__next__
        self._anchors: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._aliased_nodes = 0

    def build(self) -> Any:
        self._next()
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return None
        value = self._node(self._next(), 0)
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            message = "a file must contain only one YAML document; remove what begins here"
            raise _Broken(message, after.start_mark)
        return value

    def _node(self, event: Any, depth: int) -> Any:
        """The value that begins with the event, `depth` levels below the top."""
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self._alias(event)
        if event.tag is not None and event.tag != "!":
            message = f"YAML tags are not allowed: {event.tag[:60]}; put a text in quotes"
            raise _Broken(message, event.start_mark)
        if depth >= DEPTH_MAX:
            raise _Broken(f"nested more than {DEPTH_MAX} levels deep", event.start_mark)
        value: Any
        if kind is yaml.ScalarEvent:
            value = _scalar(event)
        elif kind is yaml.MappingStartEvent:
            value = self._mapping(depth + 1)
        else:
            value = self._sequence(depth + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
            self._counts.pop(event.anchor, None)
        return value

    def _alias(self, event: Any) -> Any:
        name = event.anchor
        if name not in self._anchors:
            # An anchor is known only after the end of its node, so a recursive alias is unknown too.
            message = f"the alias *{name} has no anchor before it; put a text in quotes"
            raise _Broken(message, event.start_mark)
        value = self._anchors[name]
        if name not in self._counts:
            self._counts[name] = _count_nodes(value)
        self._aliased_nodes += self._counts[name]
        if self._aliased_nodes > ALIASED_NODES_MAX:
            raise _Broken(
                f"the aliases expand to more than {ALIASED_NODES_MAX} nodes", event.start_mark
            )
        return value

    def _sequence(self, depth: int) -> list[Any]:
        items: list[Any] = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            items.append(self._node(event, depth))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while type(event := self._next()) is not yaml.MappingEndEvent:
            key = _key(event)
            if key in entries:
                message = f"duplicate key {key[:60]!r}; rename or remove one of them"
                raise _Broken(message, event.start_mark)
            entries[key] = self._node(self._next(), depth)
        return entries


def _count_nodes(value: Any) -> int:
    """The number of nodes of a value; what an alias stands for counts each time."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(_count_nodes, value.values()))
    return 1 + sum(map(_count_nodes, value)) if isinstance(value, list) else 1


def _key(event: Any) -> str:
    if type(event) is not yaml.ScalarEvent or (event.tag not in (None, "!")):
        message = "a key must be a text; put a text that begins with a brace or bracket in quotes"
        raise _Broken(message, event.start_mark)
    if event.value == "<<" and event.implicit[0]:
        raise _Broken("merge keys (<<) are not allowed; write the keys here", event.start_mark)
    return intern(clean_text(event.value))


def _whole(text: str) -> str:
    """The text with pairs of surrogates joined, which PyYAML leaves as they are."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _scalar(event: Any) -> Any:
    text = event.value
    if not text.isascii():
        text = clean_text(_whole(text))
    # Only a plain scalar may be something other than a text.
    if event.implicit[0]:
        try:
            value = read_plain(text)
        except ValueError as error:
            raise _Broken(str(error), event.start_mark) from None
        if value is not text:
            return value
    return intern(text) if len(text) <= _SHARED_CHARS_MAX else text
