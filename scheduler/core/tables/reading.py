"""Reads the rows of a table from a text: its format, its columns and their types.

Rows come one by one, so that a large table is never in memory as a whole. Opening the file is left
to `cli/jobs/caller/table_files.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from orc.ledger.bounds import INNER_LEVELS_MAX, check_value
from orc.ledger.digest import clean_json
from orc.ledger.wording import number_text
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.tables.delimited import (
    DELIMITERS,
    DelimitedReader,
    find_delimiter,
    read_sample,
)
from orc.scheduler.core.tables.documents import Found, read_json, read_lines, read_yaml

if TYPE_CHECKING:
    from orc.scheduler.core.spec.input_spec import ColumnType, TableFormat

SUFFIXES: Mapping[str, TableFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".parquet": "parquet",
}
ROWS_MAX = 1_000_000
_SHOWN_CHARS = 60
_SHOWN_COLUMNS = 20
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?")
_SEPARATED = re.compile(r"[+-]?[0-9.]*[0-9][,'_\u2019\s][0-9.,'_\u2019\s]*")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Table:
    """The rows of a table while they are read. `columns` is complete when all rows were read."""

    def __init__(
        self,
        rows: Iterable[Found],
        *,
        columns: Iterable[str] = (),
        types: Mapping[str, ColumnType],
        read_as: str,
    ) -> None:
        self._rows = rows
        self._types = types
        self.read_as = read_as
        self._is_closed = bool(columns)
        self.columns: dict[str, None] = dict.fromkeys(columns)
        if self._is_closed:
            self._check_types()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows. Raises ValueError with the place of what is wrong."""
        for number, (line, row) in enumerate(self._rows, start=1):
            where = f"row {number_text(number)}" if line is None else f"line {number_text(line)}"
            if number > ROWS_MAX:
                raise ValueError(f"the table has more than {number_text(ROWS_MAX)} rows; split it")
            yield self._row(row, where)
        if not self._is_closed:
            self._check_types()

    def _row(self, row: Any, where: str) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise ValueError(f"{where}: a row is a mapping of columns to values; got {_shown(row)}")
        try:
            check_value(row, levels_max=INNER_LEVELS_MAX)
        except ValueError as error:
            raise ValueError(f"{where} cannot be stored: {error}") from None
        found: dict[str, Any] = clean_json(row)
        if not self._is_closed:
            self.columns |= dict.fromkeys(found)
        for name, kind in self._types.items():
            if name in found:
                try:
                    found[name] = converted(found[name], kind)
                except ValueError as error:
                    raise ValueError(f"{where}, column {name!r}: {error}") from None
        return found

    def _check_types(self) -> None:
        for name in self._types:
            if name not in self.columns and self.columns:
                raise ValueError(
                    f"`columns` names {name!r}, which the table does not have"
                    f"{nearest(name, list(self.columns))}; {columns_text(tuple(self.columns))}"
                )


def columns_text(columns: tuple[str, ...]) -> str:
    """The columns of a table, for messages."""
    named = ", ".join(name[:_SHOWN_CHARS] for name in columns[:_SHOWN_COLUMNS])
    return f"the columns are: {named}{', ...' * (len(columns) > _SHOWN_COLUMNS)}"


def converted(value: Any, kind: ColumnType) -> Any:
    """The value as the type of its column; an empty text is null. Raises ValueError."""
    if kind == "string":
        return value if value is None or isinstance(value, str) else _refuse(value, kind)
    if isinstance(value, str):
        return None if not value.strip() else _parsed(value.strip(), kind)
    is_bool = isinstance(value, bool)
    fits = {
        "boolean": is_bool,
        "integer": isinstance(value, int) and not is_bool,
        "number": isinstance(value, int | float) and not is_bool,
    }
    return value if value is None or fits[kind] else _refuse(value, kind)


def _parsed(text: str, kind: ColumnType) -> Any:
    if kind == "boolean":
        return _BOOLEANS[text.lower()] if text.lower() in _BOOLEANS else _refuse(text, kind)
    if not _NUMBER.fullmatch(text):
        # Python would take 1_000, and the digits of other scripts.
        return _refuse(text, kind)
    try:
        number = float(text) if kind == "number" and not _is_whole(text) else int(text)
        check_value(number)
    except ValueError:
        return _refuse(text, kind)
    return number


def _is_whole(text: str) -> bool:
    return text.lstrip("+-").isdecimal()


def _refuse(value: Any, kind: str) -> Any:
    is_separated = isinstance(value, str) and _SEPARATED.fullmatch(value) is not None
    advice = "; write it without separators of thousands, and with a decimal point"
    raise ValueError(
        f"must be of type {kind}; got {_shown(value)}"
        + advice * (is_separated and kind in ("number", "integer"))
    )


def _shown(value: Any) -> str:
    return repr(value)[:_SHOWN_CHARS]


def format_of(name: str, given: TableFormat | None) -> TableFormat:
    """The format of a table's file: as given, or by its suffix. Raises ValueError."""
    if given is not None:
        return given
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if suffix not in SUFFIXES:
        raise ValueError(
            "the suffix of a table's file says how it is read: .csv, .tsv, .jsonl, .json, .yaml or "
            ".parquet; rename the file, or write `format: csv` for the input"
        )
    return SUFFIXES[suffix]


def parse_table(
    text: TextIO, *, name: str, table_format: TableFormat, types: Mapping[str, ColumnType]
) -> Table:
    """The table in a text that can be read again from its begin. Parquet is no text.

    Its rows are read when they are asked for. Raises ValueError with the line, UnicodeDecodeError.
    """
    match table_format:
        case "csv" | "tsv":
            sample = read_sample(text)
            _refuse_document(sample)
            delimiter = "\t" if table_format == "tsv" else find_delimiter(sample)
            reader = DelimitedReader(text, delimiter)
            read_as = DELIMITERS[delimiter]
            return Table(reader, columns=reader.columns, types=types, read_as=read_as)
        case "jsonl":
            return Table(read_lines(text), types=types, read_as="JSON Lines")
        case "json":
            return Table(read_json(text), types=types, read_as="JSON")
        case "yaml":
            return Table(read_yaml(text, source_name=name), types=types, read_as="YAML")
        case "parquet":
            raise AssertionError("the caller reads Parquet")


def _refuse_document(sample: str) -> None:
    """Refuse a file that is another format than its name says."""
    first = sample.lstrip("\ufeff \t\r\n").partition("\n")[0].rstrip()
    if first.startswith(("{", "[")) and first.endswith(("{", "[", "}", "]", ",")):
        raise ValueError(
            "it looks like JSON, not like CSV; write `format: json` or `format: jsonl`"
        )
    if first.lower().startswith(("<!doctype", "<html", "<?xml")):
        raise ValueError("it is a page (HTML or XML), not CSV; download or export the data as CSV")
