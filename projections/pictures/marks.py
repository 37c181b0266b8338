"""The marks of each state of a step: its word, its character, its shape and its CSS class.

No other module defines them. Every state has its own shape and character, so that it can be
recognized without colours; the colours are in `palette.css`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

_DISC = "M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0z"


class Mark(Struct, frozen=True):
    """The marks of a state: `text` for terminals, `plain` for terminals with only ASCII.

    `shape` is filled (outlined if `is_hollow`) and `glyph` is stroked on top: SVG paths in a
    square of 16 units around the origin. `colour` is a light colour for DOT and Mermaid.
    """

    state: str
    word: str
    text: str
    plain: str
    shape: str
    glyph: str
    is_hollow: bool
    colour: str

    @property
    def css_class(self) -> str:
        """The CSS class that sets the state's colours: `g-failed`."""
        return f"g-{self.state}"


_OCTAGON = "M-3.3-8h6.6l4.7 4.7v6.6l-4.7 4.7h-6.6l-4.7-4.7v-6.6z"
_SQUARE = "M-5-7.5h10l2.5 2.5v10l-2.5 2.5h-10l-2.5-2.5v-10z"
_HEXAGON = "M0-8.2l7.1 4.1v8.2l-7.1 4.1l-7.1-4.1v-8.2z"
_TRIANGLE = "M0-7.6l8.2 14.6h-16.4z"
_DIAMOND = "M0-8.4l8.4 8.4l-8.4 8.4l-8.4-8.4z"

# Bars and counts are drawn in this order: states that need attention come first.
MARKS: Mapping[str, Mark] = {
    mark.state: mark
    for mark in (
        Mark("failed", "failed", "✗", "x", _OCTAGON, "M-3-3l6 6M3-3l-6 6", False, "#f8d7da"),
        Mark(
            "interrupted", "interrupted", "!", "!", _TRIANGLE, "M0-2v4M0 4.4v.2", False, "#ffe5d0"
        ),
        Mark("running", "running", "▶", ">", _DISC, "M-2.2-3.4v6.8l5.4-3.4z", False, "#cfe2ff"),
        Mark("starting", "starting", "▷", "^", _DISC, "M-2.2-3.4v6.8l5.4-3.4z", True, "#cfe2ff"),
        Mark(
            "queued",
            "queued",
            "≡",
            "q",
            _DISC,
            "M-3.4-2.8h6.8M-3.4 0h6.8M-3.4 2.8h6.8",
            True,
            "#e7e5f6",
        ),
        Mark("waiting", "waiting", "…", "~", _SQUARE, "M-2.2-3v6M2.2-3v6", False, "#fff3cd"),
        Mark("cancelled", "cancelled", "⊘", "/", _DISC, "M-4.4 4.4l8.8-8.8", True, "#efd9ee"),
        Mark("succeeded", "succeeded", "✓", "*", _DISC, "M-3.6 .2l2.6 2.6l4.6-5", False, "#d1e7dd"),
        Mark("cached", "reused", "↺", "=", _HEXAGON, "M.8-4.4l-3.6 5h5l-3.4 4", False, "#cff4f0"),
        Mark("skipped", "skipped", "-", "-", _DIAMOND, "M-3 0h6", True, "#e2e3e5"),
        Mark("pending", "pending", "·", ".", _DISC, "", True, "#ffffff"),
    )
}
NO_MARK = Mark("none", "", "●", "o", "", "", True, "#ffffff")
"""The marks of a step without a state: a step of a spec."""


def mark_of(state: str | None) -> Mark:
    """The marks of a state; NO_MARK for None and for an unknown state."""
    return MARKS.get(state or "", NO_MARK)


def states_text(counts: Mapping[str, int]) -> str:
    """The number of steps in each state: `2 failed, 118 succeeded`."""
    return ", ".join(f"{counts[state]} {MARKS[state].word}" for state in MARKS if counts.get(state))
