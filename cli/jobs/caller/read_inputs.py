"""Reads the inputs of a job that are files and tables, once, before the job exists.

`InputReader.read` is what the resolver calls. The contents go to the ledger with the event that
names them; secrets in them are masked before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orc.cli.jobs.caller.input_files import FILE_BYTES_MAX, FoundFile, find_files, read_pieces
from orc.cli.jobs.caller.spool import Spool
from orc.cli.jobs.caller.table_files import TableFile
from orc.ledger.bounds import STORED_BYTES_MIN
from orc.ledger.definition import JobDef, StepDef
from orc.ledger.digest import Digest, canonical_json
from orc.ledger.errors import StorageError
from orc.ledger.files.file_store import FileStore, StoredFile
from orc.ledger.inputs.media_types import media_type_of
from orc.ledger.inputs.read_inputs import DataType, InputFile, ReadInput, RowsPart
from orc.ledger.secrets.masking import Mask
from orc.scheduler.core.spec.data_inputs import ReadRequest
from orc.scheduler.core.strict_json import parse_json
from orc.scheduler.core.tables.documents import rows_of
from orc.scheduler.core.tables.reading import Table, columns_text

PART_ROWS = 1000
_PART_BYTES = 1024 * 1024


class GivenBeside(str):
    """A value from a file of inputs: paths in it are relative to the folder of that file."""

    __slots__ = ("folder",)
    folder: Path


def beside(text: str, folder: Path) -> GivenBeside:
    """The text as a value that was given in a file of that folder."""
    found = GivenBeside(text)
    found.folder = folder
    return found


class InputReader:
    """Reads files relative to the spec's folder (defaults) and to the current one."""

    def __init__(self, spec_folder: Path) -> None:
        self._spec_folder = spec_folder
        self._spool = Spool()

    def read(self, request: ReadRequest) -> ReadInput:
        """The value of an input; one that was read before is given as it is.

        Raises ValueError with the place of what is wrong.
        """
        if isinstance(request.value, ReadInput):
            return request.value
        with _as_storage_errors():
            if request.spec.type == "table":
                return self._read_table(request)
            files = tuple(self._take(file, request) for file in self._find(request))
            kind: DataType = "file" if request.spec.type == "file" else "files"
            return ReadInput(
                type=kind, source=source_of(request), default=request.is_default, files=files
            )

    def hide(self, mask: Mask, definition: JobDef) -> JobDef:
        """The job with secrets masked in the contents of its inputs."""
        if not mask:
            return definition
        read = {name: self._hidden(mask, found) for name, found in definition.read.items()}
        steps = tuple(self._hide_in_step(mask, step) for step in definition.steps)
        return replace(definition, read=read, steps=steps)

    def blobs(self, definition: JobDef) -> Iterator[bytes]:
        """The contents that the ledger itself keeps, one by one."""
        for digest in self._digests(definition):
            if self._spool.size(digest) <= STORED_BYTES_MIN:
                yield self._spool.read(digest)

    def store(self, definition: JobDef, files: FileStore) -> list[StoredFile]:
        """Put the large contents into the store beside the ledger. Raises OSError, LedgerError."""
        return [
            files.add(self._spool.pieces(digest))
            for digest in self._digests(definition)
            if self._spool.size(digest) > STORED_BYTES_MIN
        ]

    def content(self, digest: str) -> bytes | None:
        """A content that was read; None for another digest."""
        found = Digest(digest)
        return self._spool.read(found) if found in self._spool else None

    def rows(self, found: ReadInput) -> list[Any] | None:
        """The rows of a table, or the files without their texts; None if it was not read here."""
        if found.type != "table":
            return [file.fields() for file in found.files] if found.type == "files" else None
        if not all(part.sha256 in self._spool for part in found.parts):
            return None
        parts = (self._spool.read(part.sha256).decode() for part in found.parts)
        return [row for text in parts for row in parse_json(text)]

    def _digests(self, definition: JobDef) -> list[Digest]:
        """The contents that the job names and that were read here."""
        named = dict.fromkeys(
            digest for found in definition.all_read() for digest in found.digests()
        )
        return [digest for digest in named if digest in self._spool]

    def _find(self, request: ReadRequest) -> list[FoundFile]:
        value, spec = request.value, request.spec
        folder = self._spec_folder / request.folder if request.is_default else Path.cwd()
        patterns = [
            (text, text.folder if isinstance(text, GivenBeside) else folder)
            for text in ([value] if isinstance(value, str) else value)
        ]
        found = find_files(patterns, allow_empty=bool(spec.allow_empty))
        if spec.type != "files" and len(found) != 1:
            count = len(found) or "no"
            raise ValueError(
                f"{value} matches {count} files, and an input of type {spec.type} is one file; "
                "name it, or write `type: files`"
            )
        return found

    def _take(self, file: FoundFile, request: ReadRequest) -> InputFile:
        most = request.spec.max_size or FILE_BYTES_MAX
        digest, size = self._spool.add(read_pieces(file, bytes_max=most))
        return InputFile(
            path=file.path, sha256=digest, size_bytes=size, media_type=media_type_of(file.path)
        )

    def _read_table(self, request: ReadRequest) -> ReadInput:
        spec = request.spec
        if isinstance(request.value, list):
            types = spec.columns or {}
            given = Table(rows_of(request.value), types=types, read_as="given as a list")
            return self._table(given, iter(given), request, ())
        (found,) = self._find(request)
        file = self._take(found, request)
        shown = str(found.place)
        try:
            content = TableFile(self._spool.open(file.sha256), name=file.name, spec=spec)
            return self._table(content.table, content.rows(), request, (file,))
        except ValueError as error:
            raise ValueError(f"{shown}: {error}") from None

    def _table(
        self,
        table: Table,
        rows: Iterator[dict[str, Any]],
        request: ReadRequest,
        files: tuple[InputFile, ...],
    ) -> ReadInput:
        parts = tuple(self._parts(rows))
        if not parts and not request.spec.allow_empty:
            header = f": it has only the header; {columns_text(tuple(table.columns))}"
            raise ValueError(
                f"the table has no rows{header if table.columns else ''}; write "
                "`allow_empty: true` for an input that may have none"
            )
        return ReadInput(
            type="table",
            source=source_of(request),
            default=request.is_default,
            files=files,
            parts=parts,
            columns=tuple(table.columns),
            read_as=table.read_as,
        )

    def _parts(self, rows: Iterator[dict[str, Any]]) -> Iterator[RowsPart]:
        """Keep the rows in parts of at most 1,000 rows, each about 1 MiB or one row."""
        kept: list[str] = []
        size = 0
        for row in rows:
            text = canonical_json(row)
            if kept and (len(kept) == PART_ROWS or size + len(text) > _PART_BYTES):
                yield self._part(kept)
                kept, size = [], 0
            kept.append(text)
            size += len(text)
        if kept:
            yield self._part(kept)

    def _part(self, rows: list[str]) -> RowsPart:
        digest, size = self._spool.add([f"[{','.join(rows)}]".encode()])
        return RowsPart(sha256=digest, size_bytes=size, rows=len(rows))

    def _hide_in_step(self, mask: Mask, step: StepDef) -> StepDef:
        steps = tuple(self._hide_in_step(mask, inner) for inner in step.steps)
        read = {name: self._hidden(mask, found) for name, found in step.read.items()}
        if (read, steps) == (step.read, step.steps):
            return step
        return replace(step, read=read, steps=steps)

    def _hidden(self, mask: Mask, found: ReadInput) -> ReadInput:
        files = []
        for file in found.files:
            if file.sha256 in self._spool:
                digest, size = self._spool.add(_masked(mask, self._spool.pieces(file.sha256)))
                file = replace(file, sha256=digest, size_bytes=size)
            files.append(file)
        parts = []
        for part in found.parts:
            if part.sha256 in self._spool:
                text = self._spool.read(part.sha256).decode()
                if mask.find(text) is not None:
                    rows = mask.value(parse_json(text))
                    part = self._part([canonical_json(row) for row in rows])
            parts.append(part)
        return replace(found, files=tuple(files), parts=tuple(parts))


def source_of(request: ReadRequest) -> str:
    """What was given for the input, as it is recorded."""
    value = request.value
    if isinstance(value, str):
        return str(value)
    if request.spec.type == "table":
        return "a list of rows"
    return ", ".join(map(str, value))


def _masked(mask: Mask, pieces: Iterable[bytes]) -> Iterator[bytes]:
    masked = mask.byte_stream()
    for piece in pieces:
        yield masked.feed(piece)
    yield masked.close()


@contextmanager
def _as_storage_errors() -> Iterator[None]:
    """The disk may be too full for the copies that the spool keeps."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot keep a copy of the inputs in the folder for temporary files: {error.strerror}; "
            "set TMPDIR to a folder with more space"
        ) from error
