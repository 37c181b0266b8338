"""Reads tables in JSON, JSON Lines and YAML: a list of mappings, or one mapping a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TextIO

from orc.ledger.wording import number_text
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.strict_json import parse_json

_EMPTY = "the file is empty; a table is a list of mappings, and may be []"

Found = tuple[int | None, Any]
"""The line of a row if the format has one for each, and the row."""


def read_lines(file: TextIO) -> Iterator[Found]:
    """The rows of JSON Lines; blank lines are left out. Raises ValueError with the line."""
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                yield number, parse_json(line, is_exact=True)
            except ValueError as error:
                raise ValueError(f"line {number_text(number)} is not JSON: {error}") from None


def read_json(file: TextIO) -> Iterator[Found]:
    """The rows of a JSON document. Raises ValueError."""
    text = file.read()
    if not text.strip():
        raise ValueError(_EMPTY)
    try:
        document = parse_json(text, is_exact=True)
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    yield from rows_of(document)


def read_yaml(file: TextIO, *, source_name: str) -> Iterator[Found]:
    """The rows of a YAML document. Raises ValueError."""
    from orc.scheduler.core.source.yaml_source import parse_yaml

    try:
        document = parse_yaml(file.read(), source_name=source_name)
    except SpecError as error:
        problem = error.problems[0]
        where = f"line {problem.line}: " if problem.line else ""
        raise ValueError(f"{where}{problem.message}") from None
    yield from rows_of(document.value)


def rows_of(document: Any) -> Iterator[Found]:
    """The rows of a list. Raises ValueError for any other value."""
    if document is None:
        raise ValueError(_EMPTY)
    if not isinstance(document, list):
        kind = "a mapping" if isinstance(document, dict) else "a single value"
        raise ValueError(f"a table is a list of mappings; this is {kind}")
    for row in document:
        yield None, row
