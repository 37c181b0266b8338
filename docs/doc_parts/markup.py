"""The Markdown that several parts share: tables, lists of names, paragraphs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; a `|` in a cell is escaped."""
    lines = [list(headers), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(
        "|".join(["", *(f" {cell} " if cell else " " for cell in line), ""]) for line in lines
    )


def code_names(names: Iterable[str]) -> str:
    """The names as code, one after the other."""
    return " ".join(f"`{name}`" for name in names)


def paragraphs(text: str | None) -> str:
    """The paragraphs of a docstring, each on one line."""
    blocks = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def choice(values: Iterable[Any]) -> str:
    """The values as code, with "or" between them."""
    return " or ".join(f"`{value}`" for value in values)
