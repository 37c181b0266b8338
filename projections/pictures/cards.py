"""The cards of the graph's picture: how large one is, and its drawing.

A card is a step with its name, kind, state and a note; one that stands for many has a
bar and the numbers of their states, and the names of those that fail, run or wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from projections.pictures.fold import Card
from projections.pictures.layout import Place
from projections.pictures.lettering import clip, letters, text_width
from projections.pictures.marks import MARKS, count_text, mark_of

_LOUD_MAX = 3
_TITLE_MAX = 20
_BAR = 8
_ROW = 16

Link = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Scale:
    """How large things are drawn, in pixels, by how many cards there are."""

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


SCALES = (
    (30, Scale("wide", 52, 132, 236, 13.5, 56, 18, 10, 1240)),
    (120, Scale("medium", 40, 120, 190, 12.5, 52, 12, 16, 1560)),
    (1 << 30, Scale("dense", 24, 100, 156, 11.5, 48, 8, 30, 1900)),
)


def scale_for(cards: int) -> Scale:
    """The scale for that many cards."""
    return next(scale for most, scale in SCALES if cards <= most)


def card_size(card: Card, scale: Scale) -> tuple[float, float]:
    """Its width and height; a column's cards are all as wide as its widest."""
    room = scale.height * 0.5 + 28 if card.status else 26.0
    wanted = text_width(card.title[:60], scale.letter) * 1.04 + room
    if not card.counts:
        if scale.has_note:
            wanted = max(wanted, text_width(_subtitle(card)[:60], 11) + room)
        return min(max(wanted, scale.narrowest), scale.widest), scale.height
    wanted = max(wanted + 44, text_width(_numbers(card), 11.5) + 30, 176)
    rows = min(len(card.loud), _LOUD_MAX) + (len(card.loud) > _LOUD_MAX)
    return min(wanted, 270), 66 + rows * _ROW + (6 if rows else 0)


def draw_card(card: Card, place: Place, scale: Scale, link: Link | None) -> str:
    """The card as SVG. Without `link` it leads nowhere."""
    if card.counts:
        return _many(card, place, scale, link)
    spoken = letters(_spoken(card))
    mark = mark_of(card.status)
    x, y, width, height = place.left, place.top, place.width, place.height
    text_x = x + (height * 0.5 + 14 if card.status else 13)
    room = x + width - text_x - 9
    is_tall = scale.has_note
    base = y + (height * 0.43 if is_tall else height * 0.5 + 4)
    lines = f'<text class="g-name" x="{text_x:.0f}" y="{base:.0f}">{clip(card.title, room, scale.letter)}</text>'
    if is_tall and (note := _subtitle(card)):
        lines += (
            f'<text class="g-note" x="{text_x:.0f}" y="{y + height * 0.78:.0f}">'
            f"{clip(note, room, 11)}</text>"
        )
    size = 1.0 if height > 30 else 0.8
    icon = _icon(card.status, x + height * 0.25 + 7, y + height / 2, size)
    inner = f"<title>{spoken}</title>{_box(place, 'g-box')}{icon}{lines}"
    return _linked(card.id, inner, f"g-card {mark.css_class}", spoken, card, link)


def _many(card: Card, place: Place, scale: Scale, link: Link | None) -> str:
    spoken = letters(_spoken(card))
    mark = mark_of(card.status)
    x, y, width = place.left, place.top, place.width
    text_x = x + (36 if card.status else 13)
    count = f"×{card.size}"
    count_width = text_width(count, 12) + 12
    room = x + width - text_x - count_width - 6
    behind = f'<rect class="g-behind" x="{x + 7:.0f}" y="{y - 4:.0f}" width="{width - 14:.0f}" height="12" rx="6"/>'
    inner = (
        f"<title>{spoken}</title>{behind}{_box(place, 'g-box')}"
        f"{_icon(card.status, x + 20, y + 18, 0.95)}"
        f'<text class="g-name" x="{text_x:.0f}" y="{y + 23:.0f}">{clip(card.title, room, scale.letter)}</text>'
        f'<text class="g-total" x="{x + width - 12:.0f}" y="{y + 23:.0f}" text-anchor="end">{count}</text>'
        f"{_bar(card, x + 12, y + 34, width - 24)}"
        f'<text class="g-note" x="{x + 12:.0f}" y="{y + 57:.0f}">{clip(_numbers(card), width - 22, 11.5)}</text>'
    )
    body = _linked(card.id, inner, "g-whole", spoken, card, link, is_part=True)
    status = card.status or "none"
    return (
        f'<g class="g-card g-many {mark.css_class}" data-step="{letters(card.id)}" '
        f'data-status="{letters(status)}" data-steps="{len(card.steps)}">{body}'
        f"{_loud(card, x + 12, y + 57, width - 24, link)}</g>"
    )


def _loud(card: Card, x: float, y: float, width: float, link: Link | None) -> str:
    rows = []
    for index, node in enumerate(card.loud[:_LOUD_MAX]):
        base = y + 7 + (index + 1) * _ROW
        mark = mark_of(node.status)
        spoken = letters(", ".join(filter(None, (node.id, node.kind, mark.word, node.note))))
        inner = (
            f"<title>{spoken}</title>"
            f'<rect class="g-line" x="{x - 4:.0f}" y="{base - 12:.0f}" width="{width + 8:.0f}" height="{_ROW}" rx="4"/>'
            f"{_icon(node.status, x + 6, base - 4, 0.68)}"
            f'<text class="g-loud" x="{x + 17:.0f}" y="{base:.0f}">{clip(node.id, width - 20, 11.5)}</text>'
        )
        rows.append(_anchor(node.id, inner, f"g-inner {mark.css_class}", spoken, link))
    if len(card.loud) > _LOUD_MAX:
        base = y + 7 + (_LOUD_MAX + 1) * _ROW
        more = len(card.loud) - _LOUD_MAX
        rows.append(f'<text class="g-note" x="{x + 17:.0f}" y="{base:.0f}">and {more} more</text>')
    return "".join(rows)


def _bar(card: Card, x: float, y: float, width: float) -> str:
    """A segment for each state, as long as its share, but never too short to be seen."""
    states = [state for state in (*MARKS, "none") if card.counts.get(state)]
    least = min(5.0, width / len(states))
    spare = width - least * len(states)
    parts = []
    for state in states:
        length = least + spare * card.counts[state] / card.size
        parts.append(
            f'<rect class="g-segment g-{state}" data-count="{card.counts[state]}" x="{x:.1f}" '
            f'y="{y:.0f}" width="{max(length - 1.5, 1):.1f}" height="{_BAR}" rx="2"/>'
        )
        x += length
    return "".join(parts)


def _icon(status: str | None, x: float, y: float, size: float) -> str:
    mark = mark_of(status)
    if not mark.shape:
        return ""
    hollow = " g-hollow" if mark.is_hollow else ""
    glyph = f'<path class="g-glyph" d="{mark.glyph}"/>' if mark.glyph else ""
    return (
        f'<g class="g-icon{hollow} {mark.css_class}" transform="translate({x:.1f} {y:.1f}) '
        f'scale({size:g})"><path class="g-shape" d="{mark.shape}"/>{glyph}</g>'
    )


def _box(place: Place, name: str) -> str:
    radius = 9 if place.height > 30 else 6
    return (
        f'<rect class="{name}" x="{place.left:.0f}" y="{place.top:.0f}" '
        f'width="{place.width:.0f}" height="{place.height:.0f}" rx="{radius}"/>'
    )


def _linked(
    step_id: str,
    inner: str,
    names: str,
    spoken: str,
    card: Card,
    link: Link | None,
    *,
    is_part: bool = False,
) -> str:
    data = ""
    if not is_part:
        status = letters(card.status or "none")
        data = f' data-step="{letters(step_id)}" data-status="{status}"'
    return _anchor(step_id, inner, names, spoken, link, data)


def _anchor(
    step_id: str, inner: str, names: str, spoken: str, link: Link | None, data: str = ""
) -> str:
    if link is None:
        return f'<g class="{names}"{data}>{inner}</g>'
    return f'<a class="{names}" href="{letters(link(step_id))}"{data} aria-label="{spoken}">{inner}</a>'


def _subtitle(card: Card) -> str:
    return " · ".join(filter(None, (card.kind, card.note)))


def _numbers(card: Card) -> str:
    marked = [
        f"{MARKS[state].text} {card.counts[state]}" for state in MARKS if card.counts.get(state)
    ]
    return "   ".join(marked) if marked else f"{card.kind}"


def _spoken(card: Card) -> str:
    """What a screen reader says and a tooltip shows."""
    word = mark_of(card.status).word
    parts = [card.title, card.kind, word, card.note]
    if card.counts:
        parts.append(
            f"{card.size} steps: {count_text(card.counts)}"
            if count_text(card.counts)
            else f"{card.size} steps"
        )
        parts += [f"{node.id} {mark_of(node.status).word}" for node in card.loud[:_TITLE_MAX]]
        if len(card.loud) > _TITLE_MAX:
            parts.append(f"and {len(card.loud) - _TITLE_MAX} more")
    return ", ".join(filter(None, parts))
