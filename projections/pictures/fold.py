"""What of a graph becomes one card: a step with all that it holds, or steps that are alike.

Pictures of few steps have a card each. In large ones, steps of one kind that stand
at the same place in the graph share a card: a hundred reviews of a hundred drafts are
two cards and one arrow. No arrow is lost: each need is one of those between two cards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orc.projections.pictures.marks import LOUD, MARKS
from orc.projections.pictures.nodes import GraphNode, top_nodes

FEW = 30
_STACK_MIN = 3
_ROUNDS_MAX = 10


@dataclass(frozen=True, slots=True)
class Card:
    """Something drawn as one. `id` is that of its step, or of the first of its `steps`.

    `steps` are the top steps that it stands for, `needs` the ids of cards. `counts` has
    the states of what is `inside`, both empty for a plain step; `loud` are those inside that
    fail, run or wait.
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
    loud: tuple[GraphNode, ...]

    @property
    def is_stack(self) -> bool:
        """Whether it stands for several steps that are alike."""
        return len(self.steps) > 1

    @property
    def size(self) -> int:
        """How many steps are inside; 0 for a plain step."""
        return sum(self.counts.values())


def fold_nodes(nodes: Sequence[GraphNode], *, few: int = FEW) -> list[Card]:
    """The cards of a graph, in the order of its steps; alike steps fold where there are over `few`."""
    known = {node.id: node for node in nodes}
    tops = top_nodes(nodes)
    top_ids = {node.id for node in tops}
    needs = {
        node.id: tuple(
            dict.fromkeys(name for name in node.needs if name in top_ids and name != node.id)
        )
        for node in tops
    }
    held = _held(nodes, known)
    groups = [[node] for node in tops]
    if len(tops) > few:
        groups = _alike(tops, needs, few)
    card_of = {node.id: group[0].id for group in groups for node in group}
    return [_card(group, needs, card_of, held) for group in groups]


def _card(
    group: Sequence[GraphNode],
    needs: Mapping[str, tuple[str, ...]],
    card_of: Mapping[str, str],
    held: Mapping[str, list[GraphNode]],
) -> Card:
    first = group[0]
    inside = [
        leaf for node in group for leaf in held.get(node.id, (node,) if len(group) > 1 else ())
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
        tuple(sorted((leaf for leaf in inside if leaf.status in LOUD), key=_loudness)),
    )


def _held(nodes: Sequence[GraphNode], known: Mapping[str, GraphNode]) -> dict[str, list[GraphNode]]:
    """What each top step holds in the end, however deep: those inside it that hold nothing."""
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


def _alike(
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
    """The place of each step in the graph, the same for steps that no path tells apart.

    Colour refinement: two steps differ if their kinds, depths, or the places of what they
    need and of what needs them do. Depths make it quick: most graphs need a round or two.
    None where it does not pay, or takes too many rounds. Steps of one place have one depth,
    so that cards of places form no cycle.
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
    """The loudest state; where nobody is loud, pending if there is work left."""
    present = {node.status for node in group}
    for state in MARKS:
        if state in present and (state in LOUD or state == "cancelled"):
            return state
    if "pending" in present:
        return "pending"
    return Counter(node.status for node in group).most_common(1)[0][0]


def _loudness(node: GraphNode) -> int:
    return list(MARKS).index(node.status or "")


def _shared_name(names: Sequence[str]) -> str:
    """What all names begin with and end with, and a star between: `draft_*`."""
    first, last = min(names), max(names)
    prefix = _shared_start(first, last)
    backwards = [name[::-1] for name in names]
    suffix = _shared_start(min(backwards), max(backwards))[::-1]
    if len(prefix) + len(suffix) >= min(map(len, names)):
        suffix = ""
    return f"{prefix}*{suffix}" if prefix or suffix else f"{names[0]} and alike"


def _shared_start(one: str, other: str) -> str:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return one[:length]
