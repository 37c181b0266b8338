"""A graph as SVG, either for a page, which has the style sheet, or as a standalone file.

The SVG has no script and loads nothing; inside a page it has no style of its own.
`collapse.py` decides which cards there are, `layout.py` and `arrow_paths.py` where things go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from orc.ledger.kinds import NOT_DONE, SHOWN_PASSED
from orc.ledger.wording import count_text
from orc.projections.pictures.arrow_paths import ArrowRouter
from orc.projections.pictures.cards import card_size, draw_card
from orc.projections.pictures.collapse import Card, collapse_nodes
from orc.projections.pictures.labels import escape_label, text_width
from orc.projections.pictures.layout import Box, Layout, place_boxes
from orc.projections.pictures.marks import MARKS, states_text
from orc.projections.pictures.nodes import GraphNode
from orc.projections.pictures.scales import Scale, scale_for
from orc.projections.pictures.shapes import Link, draw_icon, draw_rect, draw_text
from orc.projections.pictures.styles import read_css

_LEGEND = 20


def draw_graph(
    nodes: Sequence[GraphNode], *, link: Link | None = None, standalone: bool = False
) -> Markup:
    """The graph of these nodes. `link` gives each step's address; without it there are no links.

    A standalone graph is a whole XML document with its styles and a legend of the shapes.
    """
    cards = collapse_nodes(nodes)
    scale = scale_for(len(cards))
    boxes = [Box(card.id, *card_size(card, scale), card.needs) for card in cards]
    layout = place_boxes(
        boxes,
        rows_max=scale.rows_max,
        width_max=scale.width_max,
        gap_x=scale.gap_x,
        gap_y=scale.gap_y,
    )
    pieces = [_head(nodes, layout, scale, standalone=standalone, is_linked=link is not None)]
    pieces.append('<g class="g-edges">')
    pieces += _edges(cards, layout)
    pieces.append('</g><g class="g-cards">')
    pieces += [draw_card(card, layout.places[card.id], scale, link) for card in cards]
    pieces.append("</g></svg>\n" if standalone else "</g></svg>")
    # `escape_label` has escaped all text that others wrote.
    return Markup("\n".join(pieces))  # noqa: S704


def _head(
    nodes: Sequence[GraphNode], layout: Layout, scale: Scale, *, standalone: bool, is_linked: bool
) -> str:
    counts = _count_leaves(nodes)
    legend, legend_width = _legend(counts) if standalone else ("", 0.0)
    above = _LEGEND if legend else 0
    width, height = round(max(layout.width, legend_width)), round(layout.height) + above
    said = escape_label(describe(nodes))
    role = "group" if is_linked else "img"
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="g-graph g-at-{scale.name}" '
        f'width="{width}" height="{height}" viewBox="0 {-above} {width} {height}" role="{role}" '
        f'aria-label="Graph: {said}"><title>{said}</title>'
    )
    if not standalone:
        return start
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{start}<style>{css_for_xml()}</style>'
        f"{draw_rect('g-page', 0, -above, width, height, 0)}{legend}"
    )


def _legend(counts: Mapping[str, int]) -> tuple[str, float]:
    """The legend: each shape, its state and the number of steps in it; with the legend's width."""
    parts = []
    left = 28.0
    for mark in MARKS.values():
        if counts.get(mark.state):
            text = f"{counts[mark.state]} {mark.word}"
            parts.append(draw_icon(mark.state, left + 8, -8, 0.85))
            parts.append(draw_text("g-note", left + 21, -4, text))
            left += 38 + text_width(text, 11)
    return "".join(parts), left


def css_for_xml() -> str:
    """The style sheets, escaped for an XML element."""
    return read_css().replace("&", "&amp;").replace("<", "&lt;")


def _edges(cards: Sequence[Card], layout: Layout) -> list[str]:
    """The arrows; muted ones come first, so that the others are drawn over them."""
    statuses = {card.id: card.status for card in cards}
    named = {card.id: escape_label(card.id) for card in cards}
    router = ArrowRouter(layout, {card.id: card.needs for card in cards})
    muted: list[str] = []
    others: list[str] = []
    for card in cards:
        for name in card.needs:
            state = _edge_class(statuses, name, card.id)
            way = router.route(name, card.id)
            (muted if state == " g-muted" else others).append(
                f'<path class="g-edge{state}" data-from="{named[name]}" '
                f'data-to="{named[card.id]}" d="{way}"/>'
            )
    return muted + others


def _edge_class(statuses: Mapping[str, str | None], source: str, target: str) -> str:
    if statuses[source] in NOT_DONE or statuses[target] in NOT_DONE:
        return " g-muted"
    if statuses[source] in SHOWN_PASSED:
        return " g-passed"
    return ""


def describe(nodes: Sequence[GraphNode]) -> str:
    """The graph in a sentence: `12 steps: 1 failed, 11 succeeded`; containers are not counted."""
    counts = _count_leaves(nodes)
    steps = count_text(counts.total(), "step")
    return f"{steps}: {said}" if (said := states_text(counts)) else steps


def _count_leaves(nodes: Sequence[GraphNode]) -> Counter[str]:
    holders = {node.parent for node in nodes if node.parent is not None}
    return Counter(node.status or "" for node in nodes if node.id not in holders)
