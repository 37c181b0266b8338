"""The parts of cards as SVG: boxes, icons, lines of text, links.

The caller passes texts that `labels.py` has escaped.
"""

from __future__ import annotations

from collections.abc import Callable

from orc.projections.pictures.labels import escape_label
from orc.projections.pictures.marks import mark_of

Link = Callable[[str], str]
"""The address of a step's page, by the step's id."""


def draw_text(name: str, x: float, y: float, text: str, *, is_right: bool = False) -> str:
    """A line of text with its baseline at `y`; it begins at `x`, or ends there with `is_right`."""
    anchor = ' text-anchor="end"' if is_right else ""
    return f'<text class="{name}" x="{x:.0f}" y="{y:.0f}"{anchor}>{text}</text>'


def draw_rect(
    name: str, x: float, y: float, width: float, height: float, radius: float, data: str = ""
) -> str:
    """A box with the class `name` and round corners."""
    return (
        f'<rect class="{name}"{data} x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="{radius:g}"/>'
    )


def draw_icon(status: str | None, x: float, y: float, size: float) -> str:
    """The shape of a state around a point; empty for no state. `size` 1 is 16 pixels."""
    mark = mark_of(status)
    if not mark.shape:
        return ""
    hollow = " g-hollow" if mark.is_hollow else ""
    glyph = f'<path class="g-glyph" d="{mark.glyph}"/>' if mark.glyph else ""
    return (
        f'<g class="g-icon{hollow} {mark.css_class}" transform="translate({x:.1f} {y:.1f}) '
        f'scale({size:g})"><path class="g-shape" d="{mark.shape}"/>{glyph}</g>'
    )


def draw_link(
    step_id: str, inner: str, *, name: str, spoken: str, link: Link | None, data: str = ""
) -> str:
    """A link to a step's page with a tooltip; a plain group with the tooltip if `link` is None."""
    titled = f"<title>{spoken}</title>{inner}"
    if link is None:
        return f'<g class="{name}"{data}>{titled}</g>'
    address = escape_label(link(step_id))
    return f'<a class="{name}" href="{address}"{data} aria-label="{spoken}">{titled}</a>'
