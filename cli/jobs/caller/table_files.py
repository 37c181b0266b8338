"""Opens the file of a table: its encoding, and the line of what is wrong with it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from orc.cli.jobs.caller.parquet import parquet_rows
from orc.ledger.wording import number_text
from orc.scheduler.core.spec.input_spec import InputSpec
from orc.scheduler.core.tables.encodings import (
    HEAD_BYTES,
    bad_line,
    binary_problem,
    encoding_of,
    given_encoding,
)
from orc.scheduler.core.tables.reading import Table, format_of, parse_table


class TableFile:
    """A table in an open file. `rows` gives its rows; then `table` has the columns."""

    def __init__(self, file: BinaryIO, *, name: str, spec: InputSpec) -> None:
        """Read what is needed for the header. Raises ValueError, EnvironmentProblem."""
        self._file = file
        self._codec, self._said = "", ""
        table_format = format_of(name, spec.format)
        types = spec.columns or {}
        if table_format == "parquet":
            self.table = Table(parquet_rows(file), types=types, read_as="Parquet")
            return
        head = file.read(HEAD_BYTES)
        self._codec, self._said = encoding_of(head)
        if spec.encoding is not None:
            self._codec, self._said = given_encoding(spec.encoding, head)
        problem = binary_problem(head, self._codec)
        if problem:
            advice = "; export it as CSV" if "spreadsheet" in problem else ""
            if "NUL" in problem:
                advice = "; name its encoding for the input, such as `encoding: utf-16-le`"
            raise ValueError(f"{problem}{advice}")
        file.seek(0)
        # Kept, since it closes the file when it is collected.
        self._text = io.TextIOWrapper(file, encoding=self._codec, newline="")
        try:
            self.table = parse_table(self._text, name=name, table_format=table_format, types=types)
        except UnicodeError:
            raise ValueError(self._undecodable()) from None
        self.table.read_as += f", {self._said}"

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows. Raises ValueError with the line of what is wrong."""
        try:
            yield from self.table
        except UnicodeError:
            raise ValueError(self._undecodable()) from None

    def _undecodable(self) -> str:
        line = number_text(bad_line(self._text.buffer, self._codec))
        return (
            f"line {line} is not {self._said} text; save the file as UTF-8, or name its encoding "
            "for the input, such as `encoding: windows-1252`"
        )
