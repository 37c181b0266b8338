"""The page of one file: its content and its origin."""

from __future__ import annotations

from typing import Any

from orc.ledger.bounds import STORED_BYTES_MIN
from orc.ledger.errors import LedgerError
from orc.ledger.reader import LedgerReader
from orc.projections.history.exchange import read_exchange
from orc.projections.history.lineage import read_lineage
from orc.projections.pages.links import Links
from orc.projections.pages.step import ShownText, cut_text
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import FileRow

_HEX_BYTES = 256


def find_file(reader: LedgerReader, job_id: str, path: str) -> FileRow | None:
    """The file that the job has at a path, or None."""
    found = read_rows(reader.connection, FileRow, "file_id = ?", f"{job_id}/{path}")
    return found[0] if found else None


def read_file(reader: LedgerReader, file: FileRow, links: Links) -> dict[str, Any]:
    """The values of the template `file.html`. Raises LedgerError."""
    lineage = read_lineage(reader, file)
    call = lineage.reply
    return {
        "file": file,
        "content": read_content(reader, file),
        "lineage": lineage,
        "call": call,
        "exchange": None if call is None else read_exchange(reader, call),
        "links": links,
    }


def read_content(reader: LedgerReader, file: FileRow) -> ShownText:
    """The beginning of the file as text; for a binary file, its first bytes in hexadecimal.

    Nothing of a large file is shown.
    """
    try:
        if reader.blob_size(file.sha256) > STORED_BYTES_MIN:
            return ShownText(digest=file.sha256, is_large=True)
        content = reader.read_blob(file.sha256)
    except LedgerError as error:
        return ShownText(digest=file.sha256, lost=str(error).partition(": ")[2])
    try:
        return cut_text(content.decode("utf-8"), file.sha256)
    except UnicodeDecodeError:
        head = content[:_HEX_BYTES]
        lines = [head[at : at + 16].hex(" ") for at in range(0, len(head), 16)]
        # More characters than are shown, so that the page says that the content is cut.
        return ShownText("\n".join(lines), len(content) * 3, file.sha256)
