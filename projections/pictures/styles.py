"""The style sheets of the pictures: one palette, and one sheet for each kind of picture.

Pages link to them as a file, because the pages' policy forbids inline styles; a standalone
picture contains them.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_SHEETS = ("palette.css", "graph.css", "timeline.css", "charts.css")


@cache
def read_palette() -> str:
    """The colours alone, as custom properties."""
    return (files("orc.projections.pictures") / _SHEETS[0]).read_text(encoding="utf-8")


@cache
def read_css() -> str:
    """The palette and the sheets as one text."""
    folder = files("orc.projections.pictures")
    return "\n".join(
        sheet.read_text(encoding="utf-8")
        for sheet in (folder / name for name in _SHEETS)
        if sheet.is_file()
    )
