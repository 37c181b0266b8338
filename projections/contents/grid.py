"""Tables in text: a part of the rows of CSV, TSV or lines of JSON.

The whole text is read once, to count its rows, but only the cells of the wanted part are kept.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

COLUMNS_MAX = 100
CELL_CHARS_MAX = 500
_DELIMITERS = ",\t;|"
_SAMPLE_CHARS = 20_000
_SAMPLE_ROWS = 30
_HEAD_LINES = 200


class NotATable(Exception):
    """The text cannot be read as a table; the message says why."""


class Grid(Struct, frozen=True):
    """A part of a table: the names of the columns, and the rows from number `first`, from 1.

    `rows_total` counts all rows without the head. A row has a cell for each column. Further columns
    are only counted, in `columns_total`, and a long cell ends in an ellipsis. `broken` has the
    numbers of rows that have more cells than the head, or are no JSON.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first: int
    rows_total: int
    columns_total: int
    broken: frozenset[int] = frozenset()

    @property
    def last(self) -> int:
        """The number of the last row of the part."""
        return self.first + len(self.rows) - 1


def read_grid(text: str, *, is_lines: bool, first: int = 1, count: int) -> Grid:
    """At most `count` rows of a table from number `first`. Raises NotATable.

    The first line of CSV is its head. With `is_lines`, each line is a JSON value, and the columns
    are the keys of the objects.
    """
    if is_lines:
        return _read_lines(text, first, count)
    return _read_csv(text, first, count)


def delimiter_of(text: str) -> str:
    """The delimiter of CSV text: the one that gives the first rows the same, largest width.

    `csv.Sniffer` is not used: it guesses letters, and its time is not bounded.
    """
    sample = text[:_SAMPLE_CHARS]
    best, best_rank = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        try:
            rows = list(islice(_rows(sample, delimiter), _SAMPLE_ROWS))
        except csv.Error:
            continue
        if len(sample) < len(text) and len(rows) < _SAMPLE_ROWS:
            del rows[-1:]
        widths = [len(row) for row in rows]
        if widths and max(widths) > 1:
            common = max(set(widths), key=lambda width: (widths.count(width), width))
            share = widths.count(common) / len(widths)
            if common > 1 and (share, common) > best_rank:
                best, best_rank = delimiter, (share, common)
    return best


def _read_csv(text: str, first: int, count: int) -> Grid:
    rows = _rows(text, delimiter_of(text))
    try:
        head = next(rows, None)
        if head is None:
            raise NotATable("it is empty")
        kept: list[list[str]] = []
        total = 0
        for total, row in enumerate(rows, start=1):
            if first <= total < first + count:
                kept.append(row)
    except csv.Error as error:
        raise NotATable(str(error)) from error
    width = max([len(head), *map(len, kept)])
    columns = [*head, *[""] * (width - len(head))][:COLUMNS_MAX]
    return Grid(
        columns=tuple(map(_cut, columns)),
        rows=tuple(_padded(list(map(_cut, row[:COLUMNS_MAX])), len(columns)) for row in kept),
        first=first,
        rows_total=total,
        columns_total=width,
        broken=frozenset(n for n, row in enumerate(kept, start=first) if len(row) > len(head)),
    )


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """The rows that are not empty lines."""
    # The limit is one for the whole process. What is shown of a cell is cut.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    return (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row)


def _read_lines(text: str, first: int, count: int) -> Grid:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise NotATable("it is empty")
    part = [_value(line) for line in lines[first - 1 : first - 1 + count]]
    # The head is the same on each page, unless a later object has a key of its own.
    columns = dict.fromkeys(
        key
        for value in (*map(_value, lines[:_HEAD_LINES]), *part)
        if isinstance(value, dict)
        for key in value
    )
    has_bare = any(not isinstance(value, dict) for value in part)
    names = [*columns, *([""] if has_bare else [])]
    # The column of values that are no objects is among the first, so that it is always shown.
    shown = [*list(columns)[: COLUMNS_MAX - has_bare], *([""] if has_bare else [])]
    return Grid(
        columns=tuple(map(_cut, shown)),
        rows=tuple(_cells(value, shown) for value in part),
        first=first,
        rows_total=len(lines),
        columns_total=len(names),
        broken=frozenset(n for n, value in enumerate(part, start=first) if type(value) is _Broken),
    )


class _Broken(str):
    """A line that is no JSON."""

    __slots__ = ()


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return _Broken(line)


def _cells(value: Any, columns: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(value, dict):
        return _padded(["" for _ in columns[:-1]] + [_cell(value)], len(columns))
    return tuple(_cell(value[key]) if key in value else "" for key in columns)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return _cut(value)
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= CELL_CHARS_MAX else f"{text[:CELL_CHARS_MAX]}…"


def _padded(cells: list[str], width: int) -> tuple[str, ...]:
    return tuple(cells + [""] * (width - len(cells)))
