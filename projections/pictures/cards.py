"""The cards of the graph's picture: their sizes and their drawing.

A card of one step shows its name, kind, state and a note. A card of several steps shows a
bar, the number of steps in each state, and the names of the steps that fail, run or wait.
"""

from __future__ import annotations

from orc.ledger.wording import count_text
from orc.projections.pictures.collapse import Card
from orc.projections.pictures.labels import clip, escape_label, text_width
from orc.projections.pictures.layout import Place
from orc.projections.pictures.marks import MARKS, mark_of, states_text
from orc.projections.pictures.nodes import GraphNode
from orc.projections.pictures.scales import Scale
from orc.projections.pictures.shapes import Link, draw_icon, draw_link, draw_rect, draw_text

_NAMED_MAX = 3
_SPOKEN_MAX = 20
_SMALL = 11.0
_ROW = 16
_SIDE = 12.0
_WIDEST_OF_MANY = 250.0


def card_size(card: Card, scale: Scale) -> tuple[float, float]:
    """The width and height that the card needs, in pixels."""
    before = _text_left(card, scale)
    wanted = before + text_width(card.title[:60], scale.font_size) + _SIDE
    if card.size:
        wanted = max(wanted + text_width(_count(card), 12) + 10, 176)
        wanted = min(max(wanted, _numbers_width(card) + 2 * _SIDE), _WIDEST_OF_MANY)
        return wanted, _names_top(card, wanted) + _name_rows(card) * _ROW + 4
    if scale.has_note:
        wanted = max(wanted, before + text_width(_subtitle(card)[:60], _SMALL) + _SIDE)
    return min(max(wanted, scale.narrowest), scale.widest), scale.height


def draw_card(card: Card, place: Place, scale: Scale, link: Link | None) -> str:
    """The card as SVG; without `link` it is not a link."""
    if card.size:
        return _draw_many(card, place, scale, link)
    left = place.left + _text_left(card, scale)
    room = place.left + place.width - left - _SIDE * 0.75
    base = place.top + place.height * 0.43 if scale.has_note else place.middle + 4
    parts = [
        _box(place),
        draw_icon(
            card.status,
            place.left + scale.height * 0.25 + 7,
            place.middle,
            1.0 if scale.has_note else 0.8,
        ),
        draw_text("g-name", left, base, clip(card.title, room, scale.font_size)),
    ]
    if scale.has_note and (note := _subtitle(card)):
        y = place.top + place.height * 0.78
        parts.append(draw_text("g-note", left, y, clip(note, room, _SMALL)))
    return draw_link(
        card.id,
        "".join(parts),
        name=f"g-card {mark_of(card.status).css_class}",
        spoken=escape_label(_spoken(card)),
        link=link,
        data=_data(card),
    )


def _draw_many(card: Card, place: Place, scale: Scale, link: Link | None) -> str:
    x, y, width = place.left, place.top, place.width
    count = _count(card)
    left = x + _text_left(card, scale)
    room = x + width - left - text_width(count, 12) - _SIDE - 6
    whole = draw_link(
        card.id,
        draw_rect("g-behind", x + 7, y - 4, width - 14, 12, 6)
        + _box(place)
        + draw_icon(card.status, x + 20, y + 18, 0.95)
        + draw_text("g-name", left, y + 23, clip(card.title, room, scale.font_size))
        + draw_text("g-total", x + width - _SIDE, y + 23, count, is_right=True)
        + _draw_states(card, x + _SIDE, y, width - 2 * _SIDE),
        name="g-whole",
        spoken=escape_label(_spoken(card)),
        link=link,
    )
    notable = _draw_named(card, x + _SIDE, y + _names_top(card, width), width - 2 * _SIDE, link)
    names = f"g-card g-many {mark_of(card.status).css_class}"
    return f'<g class="{names}"{_data(card)}>{whole}{notable}</g>'


def _draw_states(card: Card, x: float, y: float, width: float) -> str:
    if not _numbers(card):
        return draw_text("g-note", x, y + 41, clip(card.kind, width, _SMALL))
    return _draw_bar(card, x, y + 34, width) + _draw_numbers(card, x, y + 58, width)


def _draw_bar(card: Card, x: float, y: float, width: float) -> str:
    """One segment for each state: its length is its share, but at least a visible minimum."""
    states = [state for state in MARKS if card.counts.get(state)]
    least = min(5.0, width / len(states))
    spare = width - least * len(states)
    parts = []
    for state in states:
        count = card.counts[state]
        length = least + spare * count / card.size
        data = f' data-count="{count}"'
        parts.append(draw_rect(f"g-segment g-{state}", x, y, max(length - 1.5, 1), 8, 2, data))
        x += length
    return "".join(parts)


def _numbers(card: Card) -> list[tuple[str, str, float]]:
    """Each state among the steps inside, its count, and the width of its icon and count."""
    found = [(state, str(card.counts[state])) for state in MARKS if card.counts.get(state)]
    return [(state, text, 25 + text_width(text, _SMALL)) for state, text in found]


def _numbers_width(card: Card) -> float:
    return sum(width for _, _, width in _numbers(card))


def _draw_numbers(card: Card, x: float, y: float, room: float) -> str:
    """Icons and counts side by side, in as many rows as they need."""
    parts, left = [], x
    for state, text, width in _numbers(card):
        if left > x and left + width - 10 > x + room:
            left, y = x, y + _ROW
        parts.append(draw_icon(state, left + 5, y - 4, 0.62))
        parts.append(draw_text("g-note", left + 14, y, text))
        left += width
    return "".join(parts)


def _names_top(card: Card, width: float) -> float:
    """The y below the counts, from the top of the card."""
    if not _numbers(card):
        return 50.0
    rows, left, room = 1, 0.0, width - 2 * _SIDE
    for _, _, wide in _numbers(card):
        if left and left + wide - 10 > room:
            rows, left = rows + 1, 0.0
        left += wide
    return 50.0 + rows * _ROW + (4 if card.notable else 0)


def _named(card: Card) -> tuple[GraphNode, ...]:
    """The steps inside that are named: those that fail, run or wait; in a spec, all of them."""
    return card.notable if _numbers(card) else card.inside


def _name_rows(card: Card) -> int:
    named = len(_named(card))
    return min(named, _NAMED_MAX) + (named > _NAMED_MAX)


def _draw_named(card: Card, x: float, y: float, width: float, link: Link | None) -> str:
    parts = []
    named = _named(card)
    for node in named[:_NAMED_MAX]:
        mark = mark_of(node.status)
        said = ", ".join(filter(None, (node.id, node.kind, mark.word, node.note)))
        icon = draw_icon(node.status, x + 5, y + _ROW / 2, 0.62)
        left = x + (14 if icon else 0)
        inner = (
            draw_rect("g-line", x - 4, y, width + 8, _ROW, 4)
            + icon
            + draw_text("g-notable", left, y + 12, clip(node.id, x + width - left, 11.5))
        )
        name = f"g-inner {mark.css_class}"
        parts.append(draw_link(node.id, inner, name=name, spoken=escape_label(said), link=link))
        y += _ROW
    if len(named) > _NAMED_MAX:
        more = f"and {len(named) - _NAMED_MAX} more"
        parts.append(draw_text("g-note", x + (14 if card.notable else 0), y + 12, more))
    return "".join(parts)


def _box(place: Place) -> str:
    radius = 9 if place.height > 30 else 6
    return draw_rect("g-box", place.left, place.top, place.width, place.height, radius)


def _text_left(card: Card, scale: Scale) -> float:
    """The x of the text, from the left edge of the card."""
    if not card.status:
        return _SIDE
    return 36.0 if card.size else scale.height * 0.5 + 14


def _count(card: Card) -> str:
    return f"{card.kind} ×{card.size}" if card.status and len(card.kind) < 10 else f"×{card.size}"


def _data(card: Card) -> str:
    count = f' data-steps="{len(card.steps)}"' if card.is_stack else ""
    status = escape_label(card.status or "none")
    return f' data-step="{escape_label(card.id)}" data-status="{status}"{count}'


def _subtitle(card: Card) -> str:
    return " · ".join(filter(None, (card.kind, card.note)))


def _spoken(card: Card) -> str:
    """The text for screen readers and the tooltip."""
    parts = [card.title, card.kind, mark_of(card.status).word, card.note]
    if card.size:
        counts = states_text(card.counts)
        steps = count_text(card.size, "step")
        parts.append(f"{steps}: {counts}" if counts else steps)
        parts += [f"{node.id} {mark_of(node.status).word}" for node in card.notable[:_SPOKEN_MAX]]
        if len(card.notable) > _SPOKEN_MAX:
            parts.append(f"and {len(card.notable) - _SPOKEN_MAX} more")
    return ", ".join(filter(None, parts))
