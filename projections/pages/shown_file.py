"""The content of a file as a page shows it: an image, a table, Markdown, coloured code, or text.

A browser gets bytes that others wrote only in the three forms that it shows itself, as `preview`
answers them: with a media type that the bytes decide, and a policy without scripts or requests.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from markupsafe import Markup
from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.bounds import STORED_BYTES_MIN
from orc.ledger.errors import LedgerError, describe_unreadable
from orc.ledger.reader import LedgerReader
from orc.projections.contents.code import code_html, cpu_deadline
from orc.projections.contents.form import SHOWN_BY_BROWSER, Form, Seen, pixel_size, read_form
from orc.projections.contents.grid import Grid, NotATable, read_grid
from orc.projections.contents.json_text import indented
from orc.projections.contents.markdown import markdown_html
from orc.projections.history.turns import ShownText, cut_text
from orc.projections.tables.rows import FileRow

ROWS_MAX = 100
"""The number of rows of a table on one page."""
MARKDOWN_CHARS_MAX = 50_000
_JSON_CHARS_MAX = 2_000_000
_HEX_BYTES = 256
_IMAGES = (Form.IMAGE, Form.DRAWING)


class ShownFile(Struct, frozen=True):
    """A file as a page shows it. `text` is its source, or why there is none.

    `html` is Markdown or code; `is_prose` tells them apart. `address` is where a browser gets an
    image, or a PDF document if `is_document`. `problem` says why a file is not shown in its form.
    """

    form: Form
    text: ShownText
    html: Markup | None = None
    is_prose: bool = False
    grid: Grid | None = None
    address: str = ""
    is_document: bool = False
    size: tuple[int, int] | None = None
    problem: str = ""

    @property
    def has_source(self) -> bool:
        """Whether the source can be shown in place of what this shows."""
        return bool(self.text.text) and (
            self.is_prose or self.grid is not None or bool(self.address)
        )

    def as_source(self) -> ShownFile:
        """The same file as plain text."""
        return ShownFile(self.form, self.text)


class Preview(Struct, frozen=True):
    """What a browser gets to show a file itself."""

    content: bytes
    media_type: str


def read_shown(
    reader: LedgerReader,
    file: FileRow,
    *,
    address: str = "",
    address_of: Callable[[str], str] = lambda path: "",
    first: int = 1,
    rows: int = ROWS_MAX,
    embedded_bytes_max: int = 0,
) -> ShownFile:
    """The beginning of a file, or the rows of a table from number `first`. Nothing of a large file.

    `address` is where `preview` answers; `address_of` gives that of a path beside the file. Without
    an address, an image of at most `embedded_bytes_max` is in the page itself.
    """
    content, text = _read(reader, file)
    if content is None:
        return ShownFile(Form.BINARY, text)
    seen = read_form(file.path, content)
    if seen.form in SHOWN_BY_BROWSER:
        is_document = seen.form is Form.DOCUMENT
        if not address and not is_document and len(content) <= embedded_bytes_max:
            address = f"data:{seen.media_type};base64,{base64.b64encode(content).decode()}"
        return ShownFile(
            seen.form,
            ShownText() if seen.text is None else cut_text(seen.text, file.sha256),
            address=address,
            is_document=is_document,
            size=pixel_size(content),
            problem="" if address else f"The {seen.form.value} is not in this page.",
        )
    if seen.text is None:
        return ShownFile(seen.form, _hex(content, file.sha256))
    source = ShownFile(seen.form, cut_text(seen.text, file.sha256))
    return _formed(source, seen, seen.text, address_of, first=first, rows=rows)


def read_preview(reader: LedgerReader, file: FileRow) -> Preview | None:
    """The bytes of an image or a document; None for everything else. Raises LedgerError."""
    if reader.blob_size(file.sha256) > STORED_BYTES_MIN:
        return None
    content = reader.read_blob(file.sha256)
    seen = read_form(file.path, content)
    if seen.form not in SHOWN_BY_BROWSER:
        return None
    return Preview(content, seen.media_type)


def is_image(reader: LedgerReader, file: FileRow) -> bool:
    """Whether `read_preview` gives an image or a drawing for this file."""
    content, _ = _read(reader, file)
    return content is not None and read_form(file.path, content).form in _IMAGES


def _read(reader: LedgerReader, file: FileRow) -> tuple[bytes | None, ShownText]:
    try:
        if reader.blob_size(file.sha256) > STORED_BYTES_MIN:
            return None, ShownText(digest=file.sha256, is_large=True)
        return reader.read_blob(file.sha256), ShownText()
    except LedgerError as error:
        return None, ShownText(digest=file.sha256, lost=describe_unreadable(error))


def _formed(
    source: ShownFile,
    seen: Seen,
    text: str,
    address_of: Callable[[str], str],
    *,
    first: int,
    rows: int,
) -> ShownFile:
    """The file in its form; the source itself if that is plain text, or cannot be read as the form."""
    digest = source.text.digest
    match seen.form:
        case Form.TABLE:
            try:
                grid = read_grid(text, is_lines=seen.is_lines, first=first, count=rows)
            except NotATable as problem:
                return replace(source, problem=f"It is not shown as a table: {problem}.")
            return replace(source, grid=grid)
        case Form.MARKDOWN:
            part = text[:MARKDOWN_CHARS_MAX]
            html = markdown_html(part, address_of=address_of)
            return replace(
                source, html=html, is_prose=True, text=ShownText(part, len(text), digest)
            )
        case Form.JSON:
            lines = indented(text) if len(text) <= _JSON_CHARS_MAX else None
            if lines is None:
                return source
            shown = cut_text(lines, digest)
            return replace(source, text=shown, html=_coloured(shown.text, "json"))
        case Form.CODE:
            return replace(source, html=_coloured(source.text.text, seen.language))
        case _:
            return source


def _coloured(text: str, language: str) -> Markup | None:
    return code_html(text, language, until=cpu_deadline())


def _hex(content: bytes, digest: str) -> ShownText:
    """The first bytes in hexadecimal."""
    head = content[:_HEX_BYTES]
    lines = [head[at : at + 16].hex(" ") for at in range(0, len(head), 16)]
    # As many characters as the whole content has, so that the page says if it is cut.
    return ShownText("\n".join(lines), max(0, len(content) * 3 - 1), digest)
