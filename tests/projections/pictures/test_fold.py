"""What folds into one card, and that no arrow is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from orc.projections.pictures.fold import Card, fold_nodes
from orc.projections.pictures.nodes import GraphNode
from tests.projections.pictures.graphs import dags, node, random_dag


def shapes(cards: list[Card]) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {card.title: (len(card.steps), card.needs) for card in cards}


def test_few_steps_have_a_card_each_alike_or_not() -> None:
    nodes = [node("start"), *(node(f"s{n}", "start") for n in range(20))]

    assert all(not card.is_stack for card in fold_nodes(nodes))


def test_many_alike_steps_share_a_card() -> None:
    nodes = [node("start"), *(node(f"work_{n}", "start") for n in range(50)), node("odd", "start")]
    nodes.append(node("end", *(f"work_{n}" for n in range(50))))

    assert shapes(fold_nodes(nodes)) == {
        "start": (1, ()),
        "work_*": (50, ("start",)),
        "odd": (1, ("start",)),
        "end": (1, ("work_0",)),
    }


def test_steps_of_another_kind_are_not_alike() -> None:
    nodes = [node(f"s{n}", kind=str(n % 2)) for n in range(60)]

    assert [card.size for card in fold_nodes(nodes)] == [30, 30]


def test_rows_of_steps_fold_each_place_into_one_card() -> None:
    nodes = [
        step
        for n in range(40)
        for step in (node(f"draft_{n}"), node(f"edit_{n}", f"draft_{n}", kind="prompt"))
    ]
    nodes.append(node("book", *(f"edit_{n}" for n in range(40))))

    assert shapes(fold_nodes(nodes)) == {
        "draft_*": (40, ()),
        "edit_*": (40, ("draft_0",)),
        "book": (1, ("edit_0",)),
    }


def test_long_rows_fold_too() -> None:
    nodes = [
        node(f"row{row}_{n}", *([f"row{row}_{n - 1}"] if n else []))
        for row in range(3)
        for n in range(40)
    ]

    assert len(fold_nodes(nodes)) == 40


def test_a_stack_has_the_needs_of_all_that_are_in_it() -> None:
    nodes = [node("left"), node("right")]
    nodes += [node(f"w{n}", "left" if n % 2 else "right") for n in range(40)]
    nodes += [node(f"after{n}", f"w{n}") for n in range(40)]

    assert shapes(fold_nodes(nodes))["w*"] == (40, ("right", "left"))


def test_steps_that_a_path_tells_apart_do_not_fold() -> None:
    chain = [node(f"c{n}", *([f"c{n - 1}"] if n else [])) for n in range(60)]

    assert len(fold_nodes(chain)) == 60


def test_what_a_step_holds_is_counted_however_deep() -> None:
    nodes = [
        node("all", kind="for_each"),
        node("all[0]", parent="all", kind="group"),
        node("all[0]/a", parent="all[0]", status="failed"),
        node("all[0]/b", parent="all[0]"),
        node("all[1]", parent="all"),
        node("lonely", kind="for_each"),
    ]
    holder, lonely = fold_nodes(nodes)

    assert holder.counts == {"failed": 1, "succeeded": 2}
    assert [leaf.id for leaf in holder.loud] == ["all[0]/a"]
    assert lonely.size == 0, "nothing came into being inside it yet"


def test_the_loudest_state_of_a_stack_is_its_own() -> None:
    nodes = [node(f"s{n}", status="running" if n == 7 else "pending") for n in range(50)]

    assert [card.status for card in fold_nodes(nodes)] == ["running"]
    assert [card.status for card in fold_nodes([*nodes, node("bad", status="failed")])] == [
        "failed"
    ]


@pytest.mark.parametrize(
    "needs", [("nowhere",), ("self",), ("b", "b")], ids=["unknown", "itself", "twice"]
)
def test_needs_that_mean_nothing_do_not_break_it(needs: tuple[str, ...]) -> None:
    cards = fold_nodes([node("b"), GraphNode("self", "run", None, needs)])

    assert cards[1].needs in ((), ("b",))


@settings(max_examples=60, deadline=None)
@given(dags())
def test_every_step_and_every_need_is_in_the_cards_and_no_more(nodes: list[GraphNode]) -> None:
    for few in (0, 30):
        cards = fold_nodes(nodes, few=few)
        card_of = {step: card.id for card in cards for step in card.steps}
        tops = [found for found in nodes if found.parent is None]
        wanted = {(card_of[name], card_of[found.id]) for found in tops for name in found.needs}

        assert sorted(card_of) == sorted(found.id for found in tops)
        assert {(name, card.id) for card in cards for name in card.needs} == wanted
        assert all(source != target for source, target in wanted), "a card that needs itself"
        assert _is_acyclic(cards)


def test_a_graph_at_random_is_not_folded() -> None:
    assert len(fold_nodes(random_dag(5, 200, edges=2))) == 200


def _is_acyclic(cards: list[Card]) -> bool:
    left = {card.id: set(card.needs) for card in cards}
    while ready := [name for name, needs in left.items() if not needs]:
        for name in ready:
            del left[name]
        for needs in left.values():
            needs.difference_update(ready)
    return not left
