"""The page of one file: its content and its origin."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import Any

from orc.ledger.reader import LedgerReader
from orc.projections.contents.form import Form
from orc.projections.history.exchange import read_exchange
from orc.projections.history.lineage import read_lineage
from orc.projections.pages.links import Links
from orc.projections.pages.shown_file import ROWS_MAX, ShownFile, is_image, read_shown
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import FileRow

_IMAGES_MAX = 20
"""The number of images that the page of a Markdown file shows."""
_FILES_MAX = 4
_FILE_BYTES_MAX = 1_000_000
_ROWS_MAX = 20


def find_file(reader: LedgerReader, job_id: str, path: str) -> FileRow | None:
    """The file that the job has at a path, or None."""
    found = read_rows(reader.connection, FileRow, "file_id = ?", f"{job_id}/{path}")
    return found[0] if found else None


def read_file(
    reader: LedgerReader, file: FileRow, links: Links, *, part: int = 1, as_source: bool = False
) -> dict[str, Any]:
    """The values of the template `file.html`. Raises LedgerError.

    `part` is the part of a table, from 1; with `as_source`, the file is shown as plain text.
    """
    lineage = read_lineage(reader, file)
    call = lineage.reply
    shown = show_file(reader, file, links, first=(part - 1) * ROWS_MAX + 1)
    return {
        "file": file,
        "shown": shown.as_source() if as_source else shown,
        "has_source": shown.has_source,
        "as_source": as_source,
        "part": part,
        "lineage": lineage,
        "call": call,
        "exchange": None if call is None else read_exchange(reader, call),
        "links": links,
    }


def show_file(
    reader: LedgerReader, file: FileRow, links: Links, *, first: int = 1, rows: int = ROWS_MAX
) -> ShownFile:
    """The content of the file, with the images of its job that its Markdown shows."""
    return read_shown(
        reader,
        file,
        address=links.preview(file.job_id, file.path),
        address_of=_images_beside(reader, file, links),
        first=first,
        rows=rows,
    )


def show_files(
    reader: LedgerReader, files: Sequence[FileRow], links: Links
) -> list[tuple[FileRow, ShownFile]]:
    """The first files that are not large, with their contents; documents have pages of their own."""
    small = [file for file in files if file.size_bytes <= _FILE_BYTES_MAX][:_FILES_MAX]
    shown = [(file, show_file(reader, file, links, rows=_ROWS_MAX)) for file in small]
    return [(file, one) for file, one in shown if one.form is not Form.DOCUMENT]


def _images_beside(reader: LedgerReader, file: FileRow, links: Links) -> Callable[[str], str]:
    """A function from a path in the text of the file to the address of that image of the job."""
    folder, left = posixpath.dirname(file.path), _IMAGES_MAX

    def address_of(path: str) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            return ""
        found = find_file(reader, file.job_id, posixpath.normpath(posixpath.join(folder, path)))
        if found is None or not is_image(reader, found):
            return ""
        return links.preview(found.job_id, found.path)

    return address_of
