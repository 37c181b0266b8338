"""A graph in DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Sequence

from orc.ledger.wording import visible
from orc.projections.pictures.collapse import Card, collapse_nodes
from orc.projections.pictures.marks import NO_MARK, mark_of, states_text
from orc.projections.pictures.nodes import GraphNode

_NO_COLLAPSE = 1 << 62


def dot_graph(nodes: Sequence[GraphNode]) -> str:
    """A directed graph with one node for each top step; states are colours and marks."""
    cards = collapse_nodes(nodes, few=_NO_COLLAPSE)
    numbers = {card.id: f"s{index}" for index, card in enumerate(cards)}
    lines = [
        "digraph {",
        "    rankdir=LR",
        '    node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="sans-serif"]',
    ]
    lines += [f"    {numbers[card.id]} [{_attributes(card)}]" for card in cards]
    lines += [f"    {numbers[name]} -> {numbers[card.id]}" for card in cards for name in card.needs]
    return "\n".join([*lines, "}"])


def _attributes(card: Card) -> str:
    mark = mark_of(card.status)
    title = f"{mark.text} {card.title}" if mark is not NO_MARK else card.title
    below = [card.kind, card.note]
    if card.size:
        below.append(f"{card.size}: {states_text(card.counts)}".removesuffix(": "))
    rows = [title, ", ".join(filter(None, below))]
    # `\n` is Graphviz's escape for a line break; it centres the line before it.
    label = "\\n".join(_escape(row) for row in rows if row)
    if mark is NO_MARK:
        return f'label="{label}"'
    dashed = ', style="rounded,filled,dashed"' if mark.is_hollow else ""
    return f'label="{label}", class="{mark.state}", fillcolor="{mark.colour}"{dashed}'


def _escape(text: str) -> str:
    """Escape quotes, which end a label, backslashes and ampersands, which begin escapes and entities."""
    shown = visible(text).replace("\\", "\\\\").replace('"', '\\"')
    return shown.replace("&", "&amp;")
