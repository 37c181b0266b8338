"""Files that go to a model: images, PDF documents and texts, judged by their content."""

from __future__ import annotations

from typing import Literal

from orc.ledger.wording import size_text

Kind = Literal["image", "PDF", "text"]

IMAGES = ("png", "jpg", "jpeg", "gif", "webp")
"""The extensions of the images that every model API with images accepts."""
PDF = "application/pdf"
TEXT = "text/plain"
TEXT_BYTES_MAX = 4 * 1024 * 1024
FILE_BYTES_MAX = 20 * 1024 * 1024
REQUEST_BYTES_MAX = 24 * 1024 * 1024
"""The most that the files of one request have together: 32 MiB in base64, Anthropic's limit."""

_PDF_HEAD_BYTES = 1024
_IMAGE_HEADS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def kind_of(media_type: str) -> Kind:
    """What kind of part a file of this type is."""
    if media_type == PDF:
        return "PDF"
    return "text" if media_type == TEXT else "image"


def refuse_address(path: str) -> None:
    """Raise ValueError for the address of a server in place of a path."""
    if "://" in path:
        raise ValueError("addresses are not read; download the file, and give its path")


def media_type_of(content: bytes, name: str) -> str:
    """The type of a file for a model. Raises ValueError if no model reads it, or it is too large."""
    if not content:
        raise ValueError(f"{name[:200]!r} is empty, so that a model would get nothing of it")
    found = _judge(content)
    if not found:
        raise ValueError(
            f"{name[:200]!r} is neither an image (PNG, JPEG, GIF, WebP) nor a PDF nor UTF-8 text"
        )
    limit = TEXT_BYTES_MAX if found == TEXT else FILE_BYTES_MAX
    if len(content) > limit:
        raise ValueError(
            f"{name[:200]!r} is larger than {size_text(limit)}, the most for a file of this kind; give "
            "a smaller one"
        )
    return found


def image_type_of(content: bytes, name: str) -> str:
    """The type of an image. Raises ValueError if the file is none."""
    check_image_name(name)
    found = media_type_of(content, name)
    if kind_of(found) != "image":
        raise ValueError(f"{name[:200]!r} is not an image, although its name says so")
    return found


def check_image_name(name: str) -> None:
    """Raise ValueError for a file that is no image by its name."""
    if name.rpartition(".")[2].lower() not in IMAGES:
        raise ValueError(f"{name[:200]!r} is not a supported image; supported: {', '.join(IMAGES)}")


def _judge(content: bytes) -> str:
    for head, media_type in _IMAGE_HEADS:
        if content.startswith(head):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if b"%PDF-" in content[:_PDF_HEAD_BYTES]:
        return PDF
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else TEXT
