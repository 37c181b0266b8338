"""The style sheets of the pictures: one palette, then a sheet for each kind of picture.

Pages link them as a file, since their policy allows no inline styles; a picture that
stands alone carries them.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_SHEETS = ("palette.css", "graph.css", "timeline.css")


@cache
def read_css() -> str:
    """The palette and the sheets, in one."""
    folder = files("orc.projections.pictures")
    return "\n".join(
        sheet.read_text(encoding="utf-8")
        for sheet in (folder / name for name in _SHEETS)
        if sheet.is_file()
    )
