"""Collapses a graph into cards: a step with the steps inside it, or a set of similar steps.

In a small graph each top step has a card. In a large one, steps of the same kind at the
same place in the graph share a card: a hundred reviews of a hundred drafts are two cards
and one arrow. Every dependency between two steps is an arrow between their cards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from orc.ledger.kinds import NOTABLE
from orc.projections.pictures.marks import MARKS
from orc.projections.pictures.nodes import GraphNode, top_nodes

FEW = 30
_STACK_MIN = 3
_ROUNDS_MAX = 10


class Card(Struct, frozen=True):
    """One card. `id` is the id of its step, or of the first of its `steps`.

    `steps` are the top steps of the card, `needs` the ids of other cards. `inside` are the
    steps inside, `counts` the number of them in each state, `notable` those that fail, run
    or wait; all three are empty for a plain step.
    """

    id: str
    title: str
    kind: str
    status: str | None
    needs: tuple[str, ...]
    note: str
    steps: tuple[str, ...]
    counts: Mapping[str, int]
    inside: tuple[GraphNode, ...]
    notable: tuple[GraphNode, ...]

    @property
    def is_stack(self) -> bool:
        """Whether the card is a set of similar steps."""
        return len(self.steps) > 1

    @property
    def size(self) -> int:
        """The number of steps inside; 0 for a plain step."""
        return sum(self.counts.values())


def collapse_nodes(nodes: Sequence[GraphNode], *, few: int = FEW) -> list[Card]:
    """The cards of a graph, in the order of its steps; above `few` top steps, similar ones share one."""
    known = {node.id: node for node in nodes}
    tops = top_nodes(nodes)
    top_ids = {node.id for node in tops}
    needs = {
        node.id: tuple(
            dict.fromkeys(name for name in node.needs if name in top_ids and name != node.id)
        )
        for node in tops
    }
    inside_of = _leaves_inside(nodes, known)
    groups = [[node] for node in tops]
    if len(tops) > few:
        groups = _group_similar(tops, needs, few)
    card_of = {node.id: group[0].id for group in groups for node in group}
    return [_card(group, needs, card_of, inside_of) for group in groups]


def _card(
    group: Sequence[GraphNode],
    needs: Mapping[str, tuple[str, ...]],
    card_of: Mapping[str, str],
    inside_of: Mapping[str, list[GraphNode]],
) -> Card:
    first = group[0]
    inside = [
        leaf for node in group for leaf in inside_of.get(node.id, (node,) if len(group) > 1 else ())
    ]
    counts = Counter(leaf.status or "none" for leaf in inside)
    is_one = len(group) == 1
    return Card(
        first.id,
        first.id if is_one else _shared_name([node.id for node in group]),
        first.kind,
        first.status if is_one else _state_of_all(group),
        tuple(dict.fromkeys(card_of[name] for node in group for name in needs[node.id])),
        first.note if is_one else "",
        tuple(node.id for node in group),
        counts,
        tuple(inside),
        tuple(sorted((leaf for leaf in inside if leaf.status in NOTABLE), key=_notable_rank)),
    )


def _leaves_inside(
    nodes: Sequence[GraphNode], known: Mapping[str, GraphNode]
) -> dict[str, list[GraphNode]]:
    """The leaves inside each top step, at any depth."""
    holders = {node.parent for node in nodes if node.parent in known}
    roots: dict[str, str] = {}
    found: dict[str, list[GraphNode]] = {}
    for node in nodes:
        if node.parent not in known or node.id in holders:
            continue
        way, above = [], known.get(node.parent or "")
        while above is not None and above.id not in roots:
            way.append(above.id)
            above = known.get(above.parent or "")
        root = way[-1] if above is None else roots[above.id]
        roots.update(dict.fromkeys(way, root))
        found.setdefault(root, []).append(node)
    return found


def _group_similar(
    tops: Sequence[GraphNode], needs: Mapping[str, tuple[str, ...]], few: int
) -> list[list[GraphNode]]:
    dependents: dict[str, list[str]] = {node.id: [] for node in tops}
    for step_id, names in needs.items():
        for name in names:
            dependents[name].append(step_id)
    twins = _grouped(
        tops,
        {node.id: (node.kind, needs[node.id], tuple(dependents[node.id])) for node in tops},
    )
    if len(twins) <= few:
        return twins
    places = _places(tops, needs, dependents)
    return twins if places is None else _grouped(tops, places)


def _grouped(tops: Sequence[GraphNode], keys: Mapping[str, object]) -> list[list[GraphNode]]:
    groups: dict[object, list[GraphNode]] = {}
    for node in tops:
        groups.setdefault(keys[node.id], []).append(node)
    small = [[node] for group in groups.values() if len(group) < _STACK_MIN for node in group]
    large = [group for group in groups.values() if len(group) >= _STACK_MIN]
    order = {node.id: index for index, node in enumerate(tops)}
    return sorted(small + large, key=lambda group: order[group[0].id])


def _places(
    tops: Sequence[GraphNode],
    needs: Mapping[str, tuple[str, ...]],
    dependents: Mapping[str, Sequence[str]],
) -> dict[str, object] | None:
    """The place of each step in the graph: equal for steps that no path distinguishes.

    Colour refinement: two steps differ if their kinds or depths differ, or the places of
    their needs or dependents. Starting from depths makes it fast: most graphs take one or two
    rounds. None if it takes too many rounds, or leaves more than half as many places as steps.
    Steps with one place have one depth, so that cards made of places form no cycle.
    """
    depths = _depths(needs, dependents)
    places: dict[str, int] = _numbered({node.id: (node.kind, depths[node.id]) for node in tops})
    count = len(set(places.values()))
    for _ in range(_ROUNDS_MAX):
        places = _numbered(
            {
                step_id: (
                    place,
                    tuple(sorted([places[name] for name in needs[step_id]])),
                    tuple(sorted([places[name] for name in dependents[step_id]])),
                )
                for step_id, place in places.items()
            }
        )
        finer = len(set(places.values()))
        if finer == count:
            return dict(places)
        if finer * 2 > len(tops):
            return None
        count = finer
    return None


def _depths(
    needs: Mapping[str, tuple[str, ...]], dependents: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    left = {step_id: len(names) for step_id, names in needs.items()}
    depths = dict.fromkeys(needs, 0)
    order = [step_id for step_id, count in left.items() if count == 0]
    for step_id in order:
        for name in dependents[step_id]:
            depths[name] = max(depths[name], depths[step_id] + 1)
            left[name] -= 1
            if left[name] == 0:
                order.append(name)
    return depths


def _numbered(keys: Mapping[str, object]) -> dict[str, int]:
    numbers: dict[object, int] = {}
    return {step_id: numbers.setdefault(key, len(numbers)) for step_id, key in keys.items()}


def _state_of_all(group: Sequence[GraphNode]) -> str | None:
    """The first notable state in the order of MARKS; else pending if a step is, else the most common."""
    present = {node.status for node in group}
    for state in MARKS:
        if state in present and (state in NOTABLE or state == "cancelled"):
            return state
    if "pending" in present:
        return "pending"
    return Counter(node.status for node in group).most_common(1)[0][0]


def _notable_rank(node: GraphNode) -> int:
    return list(MARKS).index(node.status or "")


def _shared_name(names: Sequence[str]) -> str:
    """The common prefix and suffix of the names, with a star between: `draft_*`."""
    first, last = min(names), max(names)
    prefix = _shared_start(first, last)
    backwards = [name[::-1] for name in names]
    suffix = _shared_start(min(backwards), max(backwards))[::-1]
    if len(prefix) + len(suffix) >= min(map(len, names)):
        suffix = ""
    return f"{prefix}*{suffix}" if prefix or suffix else f"{names[0]} and similar"


def _shared_start(one: str, other: str) -> str:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return one[:length]
