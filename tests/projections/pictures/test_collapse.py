"""Which steps share a card, and that every need is an arrow between cards."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from orc.projections.pictures.collapse import Card, collapse_nodes
from orc.projections.pictures.nodes import GraphNode
from tests.projections.pictures.graphs import dags, node, random_dag


def shapes(cards: list[Card]) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {card.title: (len(card.steps), card.needs) for card in cards}


def test_in_a_small_graph_each_step_has_a_card() -> None:
    nodes = [node("start"), *(node(f"s{n}", "start") for n in range(20))]

    assert all(not card.is_stack for card in collapse_nodes(nodes))


def test_many_similar_steps_share_a_card() -> None:
    nodes = [node("start"), *(node(f"work_{n}", "start") for n in range(50)), node("odd", "start")]
    nodes.append(node("end", *(f"work_{n}" for n in range(50))))

    assert shapes(collapse_nodes(nodes)) == {
        "start": (1, ()),
        "work_*": (50, ("start",)),
        "odd": (1, ("start",)),
        "end": (1, ("work_0",)),
    }


def test_steps_of_different_kinds_are_not_similar() -> None:
    nodes = [node(f"s{n}", kind=str(n % 2)) for n in range(60)]

    assert [card.size for card in collapse_nodes(nodes)] == [30, 30]


def test_parallel_chains_have_one_card_for_each_place() -> None:
    nodes = [
        step
        for n in range(40)
        for step in (node(f"draft_{n}"), node(f"edit_{n}", f"draft_{n}", kind="prompt"))
    ]
    nodes.append(node("book", *(f"edit_{n}" for n in range(40))))

    assert shapes(collapse_nodes(nodes)) == {
        "draft_*": (40, ()),
        "edit_*": (40, ("draft_0",)),
        "book": (1, ("edit_0",)),
    }


def test_long_parallel_chains_collapse_too() -> None:
    nodes = [
        node(f"row{row}_{n}", *([f"row{row}_{n - 1}"] if n else []))
        for row in range(3)
        for n in range(40)
    ]

    assert len(collapse_nodes(nodes)) == 40


def test_a_stack_has_the_needs_of_all_its_steps() -> None:
    nodes = [node("left"), node("right")]
    nodes += [node(f"w{n}", "left" if n % 2 else "right") for n in range(40)]
    nodes += [node(f"after{n}", f"w{n}") for n in range(40)]

    assert shapes(collapse_nodes(nodes))["w*"] == (40, ("right", "left"))


def test_steps_that_a_path_distinguishes_do_not_share_a_card() -> None:
    chain = [node(f"c{n}", *([f"c{n - 1}"] if n else [])) for n in range(60)]

    assert len(collapse_nodes(chain)) == 60


def test_steps_inside_are_counted_at_any_depth() -> None:
    nodes = [
        node("all", kind="for_each"),
        node("all[0]", parent="all", kind="group"),
        node("all[0]/a", parent="all[0]", status="failed"),
        node("all[0]/b", parent="all[0]"),
        node("all[1]", parent="all"),
        node("lonely", kind="for_each"),
    ]
    holder, lonely = collapse_nodes(nodes)

    assert holder.counts == {"failed": 1, "succeeded": 2}
    assert [leaf.id for leaf in holder.notable] == ["all[0]/a"]
    assert lonely.size == 0, "nothing came into being inside it yet"


def test_a_stack_has_its_most_notable_state() -> None:
    nodes = [node(f"s{n}", status="running" if n == 7 else "pending") for n in range(50)]

    assert [card.status for card in collapse_nodes(nodes)] == ["running"]
    assert [card.status for card in collapse_nodes([*nodes, node("bad", status="failed")])] == [
        "failed"
    ]


@pytest.mark.parametrize(
    "needs", [("nowhere",), ("self",), ("b", "b")], ids=["unknown", "itself", "twice"]
)
def test_unknown_needs_are_ignored(needs: tuple[str, ...]) -> None:
    cards = collapse_nodes([node("b"), GraphNode("self", "run", None, needs)])

    assert cards[1].needs in ((), ("b",))


@settings(max_examples=60, deadline=None)
@given(dags())
def test_the_cards_have_exactly_the_steps_and_needs_of_the_graph(nodes: list[GraphNode]) -> None:
    for few in (0, 30):
        cards = collapse_nodes(nodes, few=few)
        card_of = {step: card.id for card in cards for step in card.steps}
        tops = [found for found in nodes if found.parent is None]
        wanted = {(card_of[name], card_of[found.id]) for found in tops for name in found.needs}

        assert sorted(card_of) == sorted(found.id for found in tops)
        assert {(name, card.id) for card in cards for name in card.needs} == wanted
        assert all(source != target for source, target in wanted), "a card that needs itself"
        assert _is_acyclic(cards)


def test_a_random_graph_does_not_collapse() -> None:
    assert len(collapse_nodes(random_dag(5, 200, edges=2))) == 200


def _is_acyclic(cards: list[Card]) -> bool:
    left = {card.id: set(card.needs) for card in cards}
    while ready := [name for name, needs in left.items() if not needs]:
        for name in ready:
            del left[name]
        for needs in left.values():
            needs.difference_update(ready)
    return not left
