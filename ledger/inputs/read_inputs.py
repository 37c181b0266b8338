"""What the inputs of a job that are files and tables consist of, as its definition records it.

The files were read at submission; their bytes and the rows of tables are blobs. Everything later
(a resume, a fork, a bundle) reads these, and never the files themselves again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from orc.ledger.digest import Digest
from orc.ledger.stored_struct import Stored, dump, load
from orc.ledger.wording import count_text

DataType = Literal["file", "files", "table"]
"""The types of inputs whose values are read from files."""
DATA_TYPES: tuple[DataType, ...] = ("file", "files", "table")


class InputFile(Stored, frozen=True, kw_only=True):
    """A file of an input. `path` is relative to the folder in which the files of the input lie."""

    path: str
    sha256: Digest
    size_bytes: int
    media_type: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def fields(self) -> dict[str, Any]:
        """The fields that a template gets, except `text`, which is read when it is asked for."""
        return {
            "path": self.path,
            "name": self.name,
            "stem": self.name.rpartition(".")[0] or self.name,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "media_type": self.media_type,
        }


FILE_FIELDS = ("path", "name", "stem", "text", "sha256", "size_bytes", "media_type")
"""The fields of a file in templates."""


class RowsPart(Stored, frozen=True, kw_only=True):
    """Some rows of a table, in order: the blob of their list as JSON, and their number."""

    sha256: Digest
    size_bytes: int
    rows: int


class ReadInput(Stored, frozen=True, kw_only=True):
    """The value of an input that is a file, some files or a table.

    `source` is where it was read from, as it was given. `default` says that the spec's default was
    read. `files` are the files; a table that was given as a list has none. `parts` are the rows of a
    table, `columns` their keys in order, and `read_as` says how the file was read, in words.
    """

    type: DataType
    source: str
    default: bool = False
    files: tuple[InputFile, ...] = ()
    parts: tuple[RowsPart, ...] = ()
    columns: tuple[str, ...] = ()
    read_as: str | None = None

    def __post_init__(self) -> None:
        # A definition may come from elsewhere.
        if self.type == "file" and len(self.files) != 1:
            raise ValueError("an input of type file has one file")

    @property
    def rows(self) -> int:
        """The number of rows of a table."""
        return sum(part.rows for part in self.parts)

    def digests(self) -> Iterator[Digest]:
        """The blobs of the files and of the rows."""
        yield from (file.sha256 for file in self.files)
        yield from (part.sha256 for part in self.parts)

    def describe(self) -> str:
        """What was read, in words."""
        if self.type == "table":
            said = f"{count_text(self.rows, 'row')}, {count_text(len(self.columns), 'column')}"
            return f"{self.source}: {said}" + (f" ({self.read_as})" if self.read_as else "")
        if self.type == "file":
            return f"{self.source}: {count_text(self.files[0].size_bytes, 'byte')}"
        return f"{self.source}: {count_text(len(self.files), 'file')}"

    def summary(self) -> dict[str, Any]:
        """What `inputs.json` and the event say about it: what was read, not the rows."""
        said: dict[str, Any] = {"type": self.type, "source": self.source}
        said["files"] = dump(self.files)
        if self.type == "table":
            said |= {"rows": self.rows, "columns": list(self.columns), "read_as": self.read_as}
        return said


def inputs_in(document: Any) -> Iterator[tuple[str, ReadInput]]:
    """The inputs that were read, of a resolved spec as JSON, each with the name of its folder.

    That of an input of a workflow begins with the names of the steps around it, each with a dot.
    Raises msgspec's ValidationError for values of another form.
    """
    if not isinstance(document, dict):
        return
    for name, found in (document.get("read") or {}).items():
        yield name, load(ReadInput, found)
    for step in document.get("steps") or ():
        # Most steps have neither inputs nor steps.
        if not isinstance(step, dict) or not ("read" in step or "steps" in step):
            continue
        for name, found in inputs_in(step):
            yield f"{step.get('id')}.{name}", found
