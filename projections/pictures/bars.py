"""Small pictures within a line of text: a row of bars, and the progress of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from orc.projections.pictures.labels import escape_label

_HEIGHT = 22
_STEP = 5


def draw_bars(
    values: Sequence[float | None], *, said: str, chosen: int | None = None, step: int = _STEP
) -> Markup:
    """One bar for each value, on one scale; None is a gap. `said` is the picture as a sentence."""
    top = max([value for value in values if value] or [1.0])
    width = max(1, len(values)) * step
    pieces = [
        f'<svg class="bars" width="{width}" height="{_HEIGHT}" viewBox="0 0 {width} {_HEIGHT}" '
        f'role="img" aria-label="{escape_label(said)}"><title>{escape_label(said)}</title>'
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
    """A bar of `total` steps, with one segment for each state in `counts`, in their order."""
    pieces = [
        '<svg class="progress" width="120" height="8" viewBox="0 0 120 8" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape_label(said)}">'
        f'<title>{escape_label(said)}</title><rect class="track" width="120" height="8" rx="2"/>'
    ]
    begin = 0.0
    for state, count in counts.items():
        width = 120 * count / max(1, total)
        if count:
            pieces.append(
                f'<rect class="g-segment g-{escape_label(state)}" x="{begin:.2f}" width="{width:.2f}" '
                'height="8"/>'
            )
        begin += width
    pieces.append("</svg>")
    return Markup("".join(pieces))  # noqa: S704
