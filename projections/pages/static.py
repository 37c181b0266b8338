"""The style sheet and the scripts of the pages, and the digests in their addresses."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from orc.ledger.digest import digest_bytes
from orc.projections.pictures.styles import read_css

TYPES = {
    "orc.css": "text/css; charset=utf-8",
    "orc.js": "text/javascript; charset=utf-8",
    "shared.js": "text/javascript; charset=utf-8",
    "tools.js": "text/javascript; charset=utf-8",
    "view.js": "text/javascript; charset=utf-8",
}


@cache
def read_static(name: str) -> str:
    """The content of one of `TYPES`; the style sheet includes that of the pictures."""
    text = (files("orc.projections.pages") / "static" / name).read_text(encoding="utf-8")
    return f"{read_css()}\n{text}" if name == "orc.css" else text


@cache
def static_digest(name: str) -> str:
    """The part of the address that changes with the content."""
    return digest_bytes(read_static(name).encode())[:16]
