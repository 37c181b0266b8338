"""How large the parts of the graph's picture are, by how many cards there are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes in pixels: a card's height and widths, its letters, and the air between cards."""

    name: str
    height: float
    narrowest: float
    widest: float
    letter: float
    gap_x: float
    gap_y: float
    rows_max: int
    width_max: float

    @property
    def has_note(self) -> bool:
        """Whether there is a second line for the kind and the note."""
        return self.height > 30


_SCALES = (
    (30, Scale("wide", 52, 132, 236, 13.5, 56, 18, 10, 1240)),
    (120, Scale("medium", 40, 120, 190, 12.5, 52, 12, 16, 1500)),
    (1 << 62, Scale("dense", 24, 100, 170, 11.5, 48, 8, 30, 1800)),
)


def scale_for(cards: int) -> Scale:
    """The scale for that many cards."""
    return next(scale for most, scale in _SCALES if cards <= most)
