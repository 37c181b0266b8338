"""The values of inputs that are files and tables, as templates see them: read when asked for.

A file is a mapping whose `text` is read when it is looked up; a table is a list whose rows are read
in parts. What a step got as an item is stored without the text, and is a file again when it is read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from orc.ledger import LedgerReader
from orc.ledger.bounds import LazyList
from orc.ledger.definition import JobDef
from orc.ledger.errors import FileTooLarge, RemovedBlob
from orc.ledger.inputs.read_inputs import FILE_FIELDS, InputFile, ReadInput, RowsPart
from orc.ledger.secrets.masking import Mask
from orc.ledger.values import Payload
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.values import LazyMapping
from orc.scheduler.core.tables.encodings import text_of

_STORED_FIELDS = frozenset(FILE_FIELDS) - {"text"}


class FileValue(LazyMapping):
    """A file of an input: `path`, `name`, `stem`, `sha256`, `size_bytes`, `media_type` and `text`."""

    def __init__(self, file: InputFile, read_text: Callable[[InputFile], str]) -> None:
        self.file = file
        self._fields = file.fields()
        self._read_text = read_text

    def __getitem__(self, field: str) -> Any:
        return self._read_text(self.file) if field == "text" else self._fields[field]

    def __contains__(self, field: object) -> bool:
        return field == "text" or field in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return repr(self._fields)


class TableRows(LazyList):
    """The rows of a table. One part of them is in memory at a time."""

    def __init__(self, parts: tuple[RowsPart, ...], read: Callable[[RowsPart], list[Any]]) -> None:
        self._parts = parts
        self._read = read
        self._ends = list(accumulate(part.rows for part in parts))
        self._held: tuple[int, list[Any]] = (-1, [])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, place: Any) -> Any:
        found = range(len(self))[place]
        return (
            [self._row(number) for number in found]
            if isinstance(found, range)
            else self._row(found)
        )

    def __iter__(self) -> Iterator[Any]:
        for part in self._parts:
            yield from self._read(part)

    def _row(self, number: int) -> Any:
        place = bisect_right(self._ends, number)
        if self._held[0] != place:
            self._held = (place, self._read(self._parts[place]))
        return self._held[1][number - self._ends[place]]


class InputReads:
    """Makes the values of one job's inputs; reads their bytes from the ledger."""

    def __init__(self, definition: JobDef, ledger: LedgerReader, mask: Mask) -> None:
        self._ledger = ledger
        self._mask = mask
        self._files = {
            (file.path, file.sha256): file for read in definition.all_read() for file in read.files
        }

    def values(self, given: Mapping[str, Any], read: Mapping[str, ReadInput]) -> Mapping[str, Any]:
        """The inputs of a job or a workflow by name: those that are given, and those that are read."""
        return {**given, **{name: self._value(found) for name, found in read.items()}}

    def restored(self, value: Any) -> Any:
        """A stored value in which the files of inputs are files again, whose text can be read."""
        if not self._files:
            return value
        if isinstance(value, dict):
            if value.keys() == _STORED_FIELDS:
                file = self._files.get((value["path"], value["sha256"]))
                return value if file is None else FileValue(file, self._text)
            return {key: self.restored(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.restored(item) for item in value]
        return value

    def _value(self, found: ReadInput) -> Any:
        if found.type == "table":
            return TableRows(found.parts, lambda part: self._rows(part, found.source))
        files = [FileValue(file, self._text) for file in found.files]
        return files[0] if found.type == "file" else files

    def _rows(self, part: RowsPart, source: str) -> list[Any]:
        payload = Payload(sha256=part.sha256, size_bytes=part.size_bytes)
        try:
            rows: list[Any] = self._mask.value(self._ledger.read_payload(payload))
        except RemovedBlob as error:
            raise _removed(f"the rows of {source}", error) from None
        return rows

    def _text(self, file: InputFile) -> str:
        try:
            return self._mask.text(text_of(self._ledger.read_blob(file.sha256)))
        except RemovedBlob as error:
            raise _removed(f"the file {file.path}", error) from None
        except FileTooLarge as error:
            raise TemplateError(f"the file {file.path}: {error}") from None
        except ValueError as error:
            raise TemplateError(
                f"the text of the file {file.path} ({file.media_type}) cannot be read: {error}; a "
                "command or function can read the file itself, in $ORC_INPUTS"
            ) from None


def _removed(what: str, error: RemovedBlob) -> RemovedBlob:
    return RemovedBlob(
        f"{what}: {error}; `orc fork` with --spec reads the files of inputs again",
        error.digest,
    )
