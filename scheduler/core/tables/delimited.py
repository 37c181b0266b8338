"""Reads delimited text (CSV, TSV): finds the delimiter, and checks each row against the header.

RFC 4180 with any of four delimiters: the first row names the columns, a field in double quotes may
have delimiters and line breaks, and a quote in it is doubled.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from typing import TextIO

from orc.ledger.wording import count_text, number_text

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SAMPLE_CHARS = 64 * 1024
_SAMPLE_ROWS = 200
_FIELD_CHARS_MAX = 256 * 1024 * 1024
_SHOWN_CHARS = 60

Row = tuple[int, dict[str, str]]
"""The line on which a row begins, from 1, and its fields by column."""


def find_delimiter(sample: str) -> str:
    """The delimiter with which most rows of the sample have as many fields as the first one.

    Of several, the one that gives the most fields; a comma if there is only one column.
    `csv.Sniffer` is not used: it takes letters for delimiters, and raises for a single column.
    """
    best, best_score = ",", (0.0, 1)
    for delimiter in DELIMITERS:
        reader = csv.reader(sample.splitlines(keepends=True), delimiter=delimiter)
        try:
            counts = [len(row) for row in islice(reader, _SAMPLE_ROWS) if row]
        except csv.Error:
            continue
        if counts and counts[0] > 1:
            score = (counts.count(counts[0]) / len(counts), counts[0])
            if score > best_score:
                best, best_score = delimiter, score
    return best


def read_sample(file: TextIO) -> str:
    """The first whole lines of a text, to find its delimiter. The text is at its begin again."""
    sample = file.read(_SAMPLE_CHARS)
    if len(sample) == _SAMPLE_CHARS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    file.seek(0)
    return sample


def read_header(reader: Iterator[list[str]]) -> tuple[str, ...]:
    """The names of the columns. Raises ValueError if there are none, or two are the same."""
    header: list[str] = next((row for row in reader if row), [])
    names = tuple(name.strip() for name in header)
    if not names:
        raise ValueError("the file is empty; its first line must name the columns")
    for number, name in enumerate(names, start=1):
        if not name:
            raise ValueError(f"line 1: column {number} has no name")
        if name in names[: number - 1]:
            raise ValueError(
                f"line 1: two columns have the name {name[:_SHOWN_CHARS]!r}; rename one of them"
            )
    return names


class DelimitedReader:
    """The rows of a delimited text. `columns` are the names in its first row.

    Raises ValueError with the line for a row that does not fit the header, or is not closed.
    """

    def __init__(self, file: TextIO, delimiter: str) -> None:
        # The limit is one for the whole process; that of the module is too small for texts.
        csv.field_size_limit(_FIELD_CHARS_MAX)
        self._reader = csv.reader(file, delimiter=delimiter, strict=True)
        self._delimiter = delimiter
        try:
            self.columns = read_header(self._reader)
        except csv.Error as error:
            raise ValueError(f"line 1: {error}") from None

    def __iter__(self) -> Iterator[Row]:
        begin = self._reader.line_num + 1
        try:
            for fields in self._reader:
                if len(fields) != len(self.columns) and fields:
                    raise ValueError(self._unfit(begin, fields))
                if fields:
                    yield begin, dict(zip(self.columns, fields, strict=True))
                begin = self._reader.line_num + 1
        except csv.Error as error:
            said = "its quote is never closed" if "end of data" in str(error) else str(error)
            raise ValueError(f"line {number_text(begin)}: {said}") from None

    def _unfit(self, line: int, fields: list[str]) -> str:
        name = DELIMITERS[self._delimiter]
        return (
            f"line {number_text(line)} has {count_text(len(fields), 'field')}, and the first line "
            f"has {count_text(len(self.columns), 'column')} ({name}); put a field that contains "
            f"the delimiter in double quotes"
        )
