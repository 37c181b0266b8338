"""The sizes of the parts of a graph's picture, by the number of cards."""

from __future__ import annotations

from msgspec import Struct


class Scale(Struct, frozen=True):
    """Sizes in pixels: a card's height and widths, its font size, and the gaps between cards."""

    name: str
    height: float
    narrowest: float
    widest: float
    font_size: float
    gap_x: float
    gap_y: float
    rows_max: int
    width_max: float

    @property
    def has_note(self) -> bool:
        """Whether a card has a second line for the kind and the note."""
        return self.height > 30


_SCALES = (
    (30, Scale("wide", 52, 132, 236, 13.5, 56, 18, 10, 1240)),
    (120, Scale("medium", 40, 120, 190, 12.5, 52, 12, 16, 1500)),
    (1 << 62, Scale("dense", 24, 100, 170, 11.5, 48, 8, 30, 1800)),
)


def scale_for(cards: int) -> Scale:
    """The scale for a number of cards."""
    return next(scale for most, scale in _SCALES if cards <= most)
