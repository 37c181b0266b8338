"""What a file is, judged by its first bytes and its name: an image, a table, Markdown, code, ...

The bytes decide about everything that a program other than a text view would open, so that a name
cannot make a browser read one thing as another. What the step said about the file is not used.
"""

from __future__ import annotations

import codecs
from enum import Enum

from msgspec import Struct

IMAGE_PIXELS_MAX = 50_000_000
"""An image with more pixels is not shown: a browser would need four bytes of memory for each."""


class Form(Enum):
    """How a file is shown."""

    IMAGE = "image"
    DRAWING = "SVG drawing"
    DOCUMENT = "PDF document"
    TABLE = "table"
    JSON = "JSON"
    MARKDOWN = "Markdown"
    CODE = "code"
    TEXT = "text"
    BINARY = "binary file"


SHOWN_BY_BROWSER = frozenset((Form.IMAGE, Form.DRAWING, Form.DOCUMENT))
"""The forms whose bytes a browser shows itself."""


class Seen(Struct, frozen=True):
    """A file: its form, its text unless it has none, and what else its form needs.

    `media_type` is set for what the browser shows. `language` is a language of Pygments, for code.
    `is_lines` is true for a table whose lines are JSON.
    """

    form: Form
    text: str | None = None
    media_type: str = ""
    language: str = ""
    is_lines: bool = False


_TABLES = {"csv": False, "tsv": False, "tab": False, "jsonl": True, "ndjson": True}
_JSON = frozenset(("json", "geojson", "ipynb", "webmanifest"))
_MARKDOWN = frozenset(("md", "markdown"))
_LANGUAGES = {
    suffix: language
    for language, suffixes in {
        "bash": "sh bash zsh",
        "bat": "bat cmd",
        "c": "c h",
        "cmake": "cmake",
        "cpp": "cc cpp cxx hh hpp hxx",
        "csharp": "cs",
        "css": "css",
        "dart": "dart",
        "diff": "diff patch",
        "docker": "dockerfile",
        "elixir": "ex exs",
        "erlang": "erl",
        "fortran": "f90 f95",
        "go": "go",
        "graphql": "graphql gql",
        "haskell": "hs",
        "hcl": "hcl tf",
        "html": "html htm xhtml",
        "ini": "ini cfg conf",
        "java": "java",
        "javascript": "js mjs cjs jsx",
        "julia": "jl",
        "kotlin": "kt kts",
        "latex": "tex",
        "lua": "lua",
        "make": "mk makefile",
        "ocaml": "ml mli",
        "perl": "pl pm",
        "php": "php",
        "powershell": "ps1",
        "protobuf": "proto",
        "python": "py pyi",
        "r": "r",
        "rst": "rst",
        "ruby": "rb",
        "rust": "rs",
        "scala": "scala",
        "scss": "scss",
        "sql": "sql",
        "swift": "swift",
        "toml": "toml",
        "typescript": "ts tsx",
        "xml": "xml xsd xsl rss",
        "yaml": "yaml yml",
        "zig": "zig",
    }.items()
    for suffix in suffixes.split()
}
"""The languages by the end of a name, or by the whole name of a file without one."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_form(path: str, content: bytes) -> Seen:
    """What the file with this path and these bytes is."""
    media_type = image_type(content)
    if media_type:
        size = pixel_size(content)
        if size is None or size[0] * size[1] > IMAGE_PIXELS_MAX:
            return Seen(Form.BINARY)
        return Seen(Form.IMAGE, media_type=media_type)
    if content.startswith(b"%PDF-"):
        return Seen(Form.DOCUMENT, media_type="application/pdf")
    text = decoded(content)
    if text is None:
        return Seen(Form.BINARY)
    suffix = _suffix(path)
    if suffix == "svg" and "<svg" in text[:10_000]:
        return Seen(Form.DRAWING, text, media_type="image/svg+xml")
    if suffix in _TABLES:
        return Seen(Form.TABLE, text, is_lines=_TABLES[suffix])
    if suffix in _JSON:
        return Seen(Form.JSON, text)
    if suffix in _MARKDOWN:
        return Seen(Form.MARKDOWN, text)
    language = "xml" if suffix == "svg" else _LANGUAGES.get(suffix, "")
    return Seen(Form.CODE if language else Form.TEXT, text, language=language)


def language_named(name: str) -> str:
    """The language of Pygments with that name, or with that end of file names; empty if unknown.

    Not every language of Pygments: some need very long for a text that was made for it.
    """
    name = name.lower()
    return name if name in _LANGUAGES.values() else _LANGUAGES.get(name, "")


def decoded(content: bytes) -> str | None:
    """The text of UTF-8, or of UTF-16 with a byte order mark; None for other bytes."""
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    # UTF-16 may hold lone halves of pairs only as errors; a zero character means another format.
    return None if "\0" in text[:1000] else text


def image_type(content: bytes) -> str:
    """The media type of an image that browsers show; empty for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else ""


def pixel_size(content: bytes) -> tuple[int, int] | None:
    """The width and height in the head of an image; None if there is none.

    The formats: PNG (RFC 2083), GIF89a, JPEG (ITU T.81), WebP (RFC 9649).
    """
    match image_type(content):
        case "image/png" if len(content) >= 24:
            return _big(content[16:20]), _big(content[20:24])
        case "image/gif" if len(content) >= 10:
            return _little(content[6:8]), _little(content[8:10])
        case "image/jpeg":
            return _jpeg_size(content)
        case "image/webp" if len(content) >= 30:
            return _webp_size(content)
        case _:
            return None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:
            at += 1 if marker == 0xFF else 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(content[at + 7 : at + 9]), _big(content[at + 5 : at + 7])
        elif marker in (0xD9, 0xDA):
            return None
        else:
            at += 2 + max(2, _big(content[at + 2 : at + 4]))
    return None


def _webp_size(content: bytes) -> tuple[int, int] | None:
    match content[12:16]:
        case b"VP8 ":
            return _little(content[26:28]) & 0x3FFF, _little(content[28:30]) & 0x3FFF
        case b"VP8L":
            bits = _little(content[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return _little(content[24:27]) + 1, _little(content[27:30]) + 1
        case _:
            return None


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2].lower()
    return name.rpartition(".")[2]


def _big(content: bytes) -> int:
    return int.from_bytes(content, "big")


def _little(content: bytes) -> int:
    return int.from_bytes(content, "little")
