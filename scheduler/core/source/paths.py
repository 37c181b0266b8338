"""Paths of values in a document: keys and indexes, from the outermost one."""

from __future__ import annotations

from orc.ledger.wording import key_path

Path = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """The path as text, such as `steps.build.files[0]`."""
    return key_path(path) or "the spec"
