"""Small pictures within a line: a row of bars, and how much of a job is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from orc.projections.pictures.lettering import letters

_HEIGHT = 22
_STEP = 5


def draw_bars(
    values: Sequence[float | None], *, said: str, chosen: int | None = None, step: int = _STEP
) -> Markup:
    """A bar for each value, of the same scale; none is a gap. `said` is what it shows, in words."""
    top = max([value for value in values if value] or [1.0])
    width = max(1, len(values)) * step
    pieces = [
        f'<svg class="bars" width="{width}" height="{_HEIGHT}" viewBox="0 0 {width} {_HEIGHT}" '
        f'role="img" aria-label="{letters(said)}"><title>{letters(said)}</title>'
    ]
    for number, value in enumerate(values):
        if value is None:
            continue
        height = max(1.5, (_HEIGHT - 2) * value / top)
        state = " chosen" if number == chosen else ""
        pieces.append(
            f'<rect class="bar{state}" x="{number * step}" y="{_HEIGHT - height:.1f}" '
            f'width="{step - 1.5}" height="{height:.1f}"/>'
        )
    pieces.append("</svg>")
    return Markup("".join(pieces))  # noqa: S704


def draw_progress(counts: Mapping[str, int], total: int, *, said: str) -> Markup:
    """A bar of `total` steps, with a part for each state in `counts`, in their order."""
    pieces = [
        '<svg class="progress" width="120" height="8" viewBox="0 0 120 8" '
        f'preserveAspectRatio="none" role="img" aria-label="{letters(said)}">'
        f'<title>{letters(said)}</title><rect class="track" width="120" height="8" rx="2"/>'
    ]
    begin = 0.0
    for state, count in counts.items():
        width = 120 * count / max(1, total)
        if count:
            pieces.append(
                f'<rect class="g-segment g-{letters(state)}" x="{begin:.2f}" width="{width:.2f}" '
                'height="8"/>'
            )
        begin += width
    pieces.append("</svg>")
    return Markup("".join(pieces))  # noqa: S704
