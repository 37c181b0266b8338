"""The media types of files by their names (RFC 2046), the same on all machines."""

from __future__ import annotations

import mimetypes
from functools import lru_cache


def media_type_of(path: str) -> str:
    """The media type for a file name.

    The table is built in and ignores the system's, so that all machines record the same type.
    """
    return _media_types().guess_type(f"/{path}")[0] or "application/octet-stream"


@lru_cache(maxsize=1)
def _media_types() -> mimetypes.MimeTypes:
    types = mimetypes.MimeTypes(filenames=())
    for media_type, suffix in (
        ("text/markdown", ".md"),
        ("text/x-python", ".py"),
        ("application/yaml", ".yaml"),
        ("application/yaml", ".yml"),
        ("application/toml", ".toml"),
        ("text/x-sh", ".sh"),
        ("text/plain", ".log"),
    ):
        types.add_type(media_type, suffix)
    return types
