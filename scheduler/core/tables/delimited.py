"""Reads delimited text (CSV, TSV): finds the delimiter, and checks each row against the header.

RFC 4180 with any of four delimiters: the first row names the columns, a field in double quotes may
have delimiters and line breaks, and a quote in it is doubled.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TextIO

from orc.ledger.wording import count_text, number_text

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
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
        # Not `splitlines`: a line of CSV does not end at U+2028, or at a form feed.
        reader = csv.reader(_LINE.findall(sample), delimiter=delimiter)
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


def _read_header(header: list[str], where: str) -> tuple[str, ...]:
    """The names of the columns. Raises ValueError if there are none, or two are the same."""
    names = tuple(name.strip() for name in header)
    if not names:
        raise ValueError("the file is empty; its first line must name the columns")
    if names[0].lower() == "sep=":
        raise ValueError(
            f"{where} is a note for a spreadsheet (`sep=`), not the names of columns; remove it"
        )
    for number, name in enumerate(names, start=1):
        if not name:
            raise ValueError(f"{where}: column {number} has no name; name it, or remove it")
        if name in names[: number - 1]:
            raise ValueError(
                f"{where}: two columns have the name {name[:_SHOWN_CHARS]!r}; rename one of them"
            )
    return names


class DelimitedReader:
    """The rows of a delimited text. `columns` are the names in its first row that is not empty.

    Raises ValueError with the line for a row that does not fit the header, is not closed, or has
    a NUL.
    """

    def __init__(self, file: TextIO, delimiter: str) -> None:
        # The limit is one for the whole process; that of the module is too small for texts.
        csv.field_size_limit(_FIELD_CHARS_MAX)
        self._reader = csv.reader(_without_nul(file), delimiter=delimiter, strict=True)
        self._delimiter = delimiter
        self._header_line, header = next(self._rows(), (1, []))
        self.columns = _read_header(header, f"line {number_text(self._header_line)}")

    def __iter__(self) -> Iterator[Row]:
        for line, fields in self._rows():
            if len(fields) != len(self.columns):
                raise ValueError(self._unfit(line, fields))
            yield line, dict(zip(self.columns, fields, strict=True))

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows that are not empty, each with the line on which it begins."""
        begin = self._reader.line_num + 1
        try:
            for fields in self._reader:
                if fields:
                    yield begin, fields
                begin = self._reader.line_num + 1
        except csv.Error as error:
            said = f"a quote in a field in quotes must be doubled ({error})"
            if "end of data" in str(error):
                said = "its quote is never closed"
            raise ValueError(f"line {number_text(begin)}: {said}") from None

    def _unfit(self, line: int, fields: list[str]) -> str:
        name = DELIMITERS[self._delimiter]
        what = "the delimiter" if len(fields) > len(self.columns) else "a line break"
        first = f"line {number_text(self._header_line)}"
        return (
            f"line {number_text(line)} has {count_text(len(fields), 'field')}, and {first} "
            f"has {count_text(len(self.columns), 'column')} ({name}); put a field that contains "
            f"{what} in double quotes"
        )


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    """The lines. Raises ValueError with the number of a line that has a NUL."""
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(
                f"line {number_text(number)} has a NUL byte, which is not text; remove it, or name "
                "the encoding of the file for the input, such as `encoding: utf-16-le`"
            )
        yield line
