"""A graph as lanes beside a list, in the way that `git log --graph` draws a history.

Pure: rows of characters for each card. A lane leads down to one card; each card that it
needs joins that lane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from orc.projections.pictures.collapse import Card

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_DRAWN = {
    0: " ",
    _UP | _DOWN: "│",
    _UP: "│",
    _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _UP | _RIGHT: "╰",
    _UP | _LEFT: "╯",
    _DOWN | _RIGHT: "╭",
    _DOWN | _LEFT: "╮",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤",
    _UP | _LEFT | _RIGHT: "┴",
    _DOWN | _LEFT | _RIGHT: "┬",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}
_PLAIN = str.maketrans("│─╰╯╭╮├┤┴┬┼", "|-" + "+" * 9)


class LaneRow(Struct, frozen=True):
    """A card at its lane: `before` and `after` are drawn on both sides of the card's mark.

    `below` continues the lanes for lines under the card; `links` is the row that leads to the
    lanes of its dependents, or empty. `is_apart` is true if the card needs no other but would
    be drawn directly below the end of another lane; an empty row then separates them.
    """

    card: Card
    before: str
    after: str
    below: str
    links: str
    is_apart: bool


def lay_lanes(cards: Sequence[Card], *, lanes_max: int) -> list[LaneRow] | None:
    """The cards, each after its needs; None if they take more than `lanes_max` lanes."""
    dependents: dict[str, list[str]] = {card.id: [] for card in cards}
    for card in cards:
        for name in card.needs:
            dependents[name].append(card.id)
    lanes: list[str | None] = []
    rows: list[LaneRow] = []
    ended: int | None = None
    for card in _in_order(cards, dependents):
        at = _lane_of(card.id, lanes)
        is_apart = not card.needs and ended == at
        lanes[at] = card.id
        before = "".join("│ " if lane else "  " for lane in lanes[:at])
        after = "".join(" │" if lane else "  " for lane in lanes[at + 1 :])
        active = [lane is not None for lane in lanes]
        active[at] = bool(dependents[card.id])
        joins = _branch(dependents[card.id], at, lanes)
        if len(lanes) > lanes_max:
            return None
        links = _links(at, joins, active, lanes) if joins else ""
        below = "".join("│ " if is_used else "  " for is_used in active)
        rows.append(LaneRow(card, before, after, below, links, is_apart))
        ended = at if not dependents[card.id] else None
        while lanes and lanes[-1] is None:
            lanes.pop()
    return rows


def plain(text: str) -> str:
    """A text with the lines of its lanes in ASCII."""
    return text.translate(_PLAIN)


def _lane_of(card_id: str, lanes: list[str | None]) -> int:
    if card_id in lanes:
        return lanes.index(card_id)
    if None in lanes:
        return lanes.index(None)
    lanes.append(None)
    return len(lanes) - 1


def _branch(names: Sequence[str], at: int, lanes: list[str | None]) -> list[int]:
    """Continue the card's lane to a dependent and open lanes for the others; the lanes to link."""
    joins = [lanes.index(name) for name in names if name in lanes]
    new = [name for name in names if name not in lanes]
    lanes[at] = new[0] if new else None
    for name in new[1:]:
        joins.append(_lane_of(name, lanes))
        lanes[joins[-1]] = name
    return joins


def _links(
    at: int, joins: Sequence[int], active: Sequence[bool], lanes: Sequence[str | None]
) -> str:
    first, last = min(at, *joins), max(at, *joins)
    cells = []
    for index, lane in enumerate(lanes):
        was = index == at or (index < len(active) and active[index])
        sides = (_UP if was else 0) | (_DOWN if lane else 0)
        if index == at or index in joins:
            sides |= (_LEFT if index > first else 0) | (_RIGHT if index < last else 0)
        elif first < index < last and not sides:
            sides = _LEFT | _RIGHT
        # A lane that is only passed has no junction: a cross would mean a dependency.
        cells.append(_DRAWN[sides])
        cells.append("─" if first <= index < last else " ")
    return "".join(cells).rstrip()


def _in_order(cards: Sequence[Card], dependents: Mapping[str, Sequence[str]]) -> list[Card]:
    """The cards, each after its needs, depth first, so that few lanes are open at a time."""
    by_id = {card.id: card for card in cards}
    left = {card.id: len(card.needs) for card in cards}
    stack = [card.id for card in reversed(cards) if not card.needs]
    order = []
    while stack:
        card = by_id[stack.pop()]
        order.append(card)
        ready = []
        for name in dependents[card.id]:
            left[name] -= 1
            if left[name] == 0:
                ready.append(name)
        stack += reversed(ready)
    return order
