"""The encoding of a text: found from its first bytes, or given. Pure functions on bytes and streams."""

from __future__ import annotations

import codecs
from typing import BinaryIO

from orc.ledger.wording import number_text

HEAD_BYTES = 4096
_LINE_BYTES = 1024 * 1024
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_BINARY = (
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old spreadsheet (.xls) or document"),
)


def encoding_of(head: bytes) -> tuple[str, str]:
    """The codec of a text that begins with these bytes, and its name in messages.

    A byte order mark tells it; UTF-16 without one is known by its zero bytes. Everything else is
    read as UTF-8.
    """
    for mark, codec, name in _MARKS:
        if head.startswith(mark):
            return codec, name
    sample = head[: len(head) // 2 * 2]
    if len(sample) >= 4:
        even, odd = sample[0::2], sample[1::2]
        if even.count(0) == 0 and odd.count(0) * 2 > len(odd):
            return "utf-16-le", "UTF-16"
        if odd.count(0) == 0 and even.count(0) * 2 > len(even):
            return "utf-16-be", "UTF-16"
    return "utf-8", "UTF-8"


def given_encoding(name: str, head: bytes) -> tuple[str, str]:
    """As `encoding_of`, for a text whose author names this encoding.

    Raises ValueError if there is none, or if a byte order mark says otherwise.
    """
    given = known_encoding(name)
    for mark, codec, said in _MARKS:
        if head.startswith(mark):
            if given.startswith(said.lower()):
                # This codec takes the mark off, which would be part of the first name.
                return codec, said
            raise ValueError(
                f"it begins with the byte order mark of {said}, and `encoding` says {given}; "
                "leave `encoding` out"
            )
    return given, given


def known_encoding(name: str) -> str:
    """The codec of that name. Raises ValueError if Python has none that decodes texts."""
    try:
        found = codecs.lookup(name)
        "".encode(found.name)
        b"".decode(found.name)
    except (LookupError, TypeError, ValueError):
        raise ValueError(
            f"there is no encoding {name[:40]!r}; write one such as utf-8, utf-16, windows-1252 or "
            "latin-1"
        ) from None
    return found.name


def text_of(content: bytes) -> str:
    """The text of a file. Raises ValueError with the reason if the bytes are no text."""
    codec, name = encoding_of(content[:HEAD_BYTES])
    said = binary_problem(content[:HEAD_BYTES], codec)
    if said:
        raise ValueError(said)
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"line {number_text(line)} is not {name} text") from None


def binary_problem(head: bytes, codec: str) -> str:
    """Why a file that begins with these bytes is no text; empty if it may be one."""
    for begin, what in _BINARY:
        if head.startswith(begin):
            return f"it is {what}, not text"
    if codec.startswith("utf-8") and b"\0" in head:
        return "it contains NUL bytes, so that it is not UTF-8 text"
    return ""


def bad_line(file: BinaryIO, codec: str) -> int:
    """The number of the first line that cannot be decoded, from 1. Reads the file anew."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(codec)()
    line = 1
    while piece := file.readline(_LINE_BYTES):
        try:
            decoder.decode(piece)
        except UnicodeError:
            return line
        line += piece.count(b"\n")
    return line
