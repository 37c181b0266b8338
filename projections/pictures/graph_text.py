"""A graph as text: lanes beside a list of steps, or an indented list if there are too many lanes.

Many steps inside one, and many similar steps, share one line with the number of steps in
each state; those that fail, run or wait are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orc.ledger.wording import visible
from orc.projections.pictures.collapse import Card, collapse_nodes
from orc.projections.pictures.labels import clip_cells
from orc.projections.pictures.lanes import lay_lanes, plain
from orc.projections.pictures.marks import mark_of, states_text
from orc.projections.pictures.nodes import GraphNode

_LANES_MAX = 12
_INSIDE_MAX = 8
_NOTABLE_MAX = 5


def text_graph(nodes: Sequence[GraphNode], *, width: int = 80, is_plain: bool = False) -> str:
    """The graph in lines of at most `width` cells (at least 20).

    With `is_plain` everything except names is ASCII.
    """
    width = max(width, 20)
    cards = collapse_nodes(nodes)
    rows = lay_lanes(cards, lanes_max=min(_LANES_MAX, width // 5))
    lines: list[str] = []
    if rows is None:
        for card, depth in _by_depth(cards):
            lines += _listed(card, depth, width, is_plain=is_plain)
    else:
        column = max((len(row.before) + len(row.after) for row in rows), default=0) + 1
        for row in rows:
            if row.is_apart:
                lines.append(f"{row.before} {row.after}".rstrip())
            begin = row.before + _mark(row.card.status, is_plain=is_plain) + row.after
            room = width - column - 1
            lines.append(f"{begin:<{column}} {clip_cells(_said(row.card), room)}".rstrip())
            for inner in _inside(row.card, is_plain=is_plain):
                lines.append(
                    f"{row.below.rstrip():<{column}} {clip_cells('  ' + inner, room)}".rstrip()
                )
            if row.links:
                lines.append(row.links)
    return "\n".join(plain(line) for line in lines) if is_plain else "\n".join(lines)


def _said(card: Card) -> str:
    name = visible(card.title)
    if card.size:
        counts = states_text(card.counts)
        return f"{name}  {card.kind} x{card.size}" + (f": {counts}" if counts else "")
    rest = ", ".join(filter(None, (card.kind, card.note)))
    return f"{name}  {rest}" if rest else name


def _inside(card: Card, *, is_plain: bool) -> Iterator[str]:
    shown = card.inside if card.size <= _INSIDE_MAX else card.notable[:_NOTABLE_MAX]
    for node in shown:
        note = f"  {node.note}" if node.note else ""
        yield f"{_mark(node.status, is_plain=is_plain)} {visible(node.id)}{note}"
    if card.size > _INSIDE_MAX and len(card.notable) > len(shown):
        yield f"  and {len(card.notable) - len(shown)} more failed, interrupted, running or waiting"


def _listed(card: Card, depth: int, width: int, *, is_plain: bool) -> Iterator[str]:
    indent = "  " * min(depth, max(0, width // 2 - 10) // 2)
    mark = f"{_mark(card.status, is_plain=is_plain)} " if card.status else ""
    waits = f"  <- {', '.join(map(visible, card.needs))}" if card.needs else ""
    yield clip_cells(f"{mark}{indent}{_said(card)}{waits}", width)
    for inner in _inside(card, is_plain=is_plain):
        yield clip_cells(f"    {indent}{inner}", width)


def _by_depth(cards: Sequence[Card]) -> list[tuple[Card, int]]:
    """The cards, each after its needs, with the length of the longest path to it."""
    depths: dict[str, int] = {}
    by_id = {card.id: card for card in cards}
    waiting = {card.id: len(card.needs) for card in cards}
    dependents: dict[str, list[str]] = {card.id: [] for card in cards}
    for card in cards:
        for name in card.needs:
            dependents[name].append(card.id)
    order = [card.id for card in cards if not card.needs]
    for card_id in order:
        depths[card_id] = max((depths[name] + 1 for name in by_id[card_id].needs), default=0)
        for name in dependents[card_id]:
            waiting[name] -= 1
            if waiting[name] == 0:
                order.append(name)
    return sorted(
        ((by_id[card_id], depths[card_id]) for card_id in order), key=lambda pair: pair[1]
    )


def _mark(status: str | None, *, is_plain: bool) -> str:
    mark = mark_of(status)
    return mark.plain if is_plain else mark.text
