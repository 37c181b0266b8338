"""The graph in a terminal."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from orc.projections import text_graph
from orc.projections.pictures.nodes import GraphNode
from tests.projections.pictures.graphs import dags, node, random_dag

DIAMOND = [
    node("top"),
    node("left", "top", status="failed"),
    node("right", "top", status="running"),
    node("end", "left", "right", status="pending"),
]


def test_lanes_lead_from_each_step_to_its_dependents() -> None:
    assert text_graph(DIAMOND).splitlines() == [
        "✓   top  run",
        "├─╮",
        "✗ │ left  run",
        "│ ▶ right  run",
        "├─╯",
        "·   end  run",
    ]


def test_a_plain_terminal_gets_ascii() -> None:
    assert text_graph(DIAMOND, is_plain=True).splitlines() == [
        "*   top  run",
        "+-+",
        "x | left  run",
        "| > right  run",
        "+-+",
        ".   end  run",
    ]


def test_a_lane_that_is_only_passed_has_no_junction() -> None:
    nodes = [node("a"), node("b", "a"), node("c", "a"), node("d", "a"), node("e", "b", "d")]
    nodes.append(node("f", "c"))

    assert text_graph(nodes).splitlines() == [
        "✓     a  run",
        "├─┬─╮",
        "✓ │ │ b  run",
        "│ ✓ │ c  run",
        "│ ✓ │ f  run",
        "│   ✓ d  run",
        "├───╯",
        "✓     e  run",
    ]


def test_a_link_jumps_over_the_lanes_between() -> None:
    nodes = [
        node("a"),
        node("b", "a"),
        node("c", "a"),
        node("d", "b"),
        node("e", "b"),
        node("f", "c"),
    ]

    assert text_graph(nodes).splitlines() == [
        "✓     a  run",
        "├─╮",
        "✓ │   b  run",
        "├─│─╮",
        "✓ │ │ d  run",
        "  │ ✓ e  run",
        "  ✓   c  run",
        "  ✓   f  run",
    ]


def test_a_step_without_needs_is_separated_from_the_lane_above() -> None:
    assert text_graph([node("a"), node("b", "a"), node("c")]).splitlines() == [
        "✓ a  run",
        "✓ b  run",
        "",
        "✓ c  run",
    ]


def test_a_step_comes_after_its_needs_however_the_spec_orders_them() -> None:
    nodes = [node("last", "middle"), node("middle", "first"), node("first")]

    assert [line.split()[1] for line in text_graph(nodes).splitlines()] == [
        "first",
        "middle",
        "last",
    ]


def test_few_steps_inside_are_listed_and_many_are_counted() -> None:
    few = [
        node("x", kind="loop"),
        node("x#1", parent="x"),
        node("x#2", parent="x", status="failed"),
    ]
    many = [node("x", kind="for_each")]
    many += [
        node(f"x[{n}]", parent="x", status="failed" if n % 50 == 7 else "succeeded")
        for n in range(400)
    ]

    assert text_graph(few).splitlines() == [
        "✓ x  loop x2: 1 failed, 1 succeeded",
        "    ✓ x#1",
        "    ✗ x#2",
    ]
    assert text_graph(many).splitlines() == [
        "✓ x  for_each x400: 8 failed, 392 succeeded",
        "    ✗ x[7]",
        "    ✗ x[57]",
        "    ✗ x[107]",
        "    ✗ x[157]",
        "    ✗ x[207]",
        "      and 3 more failed, interrupted, running or waiting",
    ]


def test_a_graph_with_too_many_lanes_is_a_list_that_names_the_needs() -> None:
    lines = text_graph(random_dag(1, 100, edges=3), width=100).splitlines()

    assert len(lines) == 100
    assert sum("  <- " in line for line in lines) == 99


@settings(max_examples=60, deadline=None)
@given(dags(), st.integers(10, 120), st.booleans())
def test_no_line_is_wider_than_the_terminal(
    nodes: list[GraphNode], width: int, is_plain: bool
) -> None:
    wide = [GraphNode(f"{n.id}長い名前" * 9, n.kind, n.status) for n in nodes[:3]]
    for line in text_graph([*nodes, *wide], width=width, is_plain=is_plain).splitlines():
        assert sum(2 if ord(character) > 0x3000 else 1 for character in line) <= max(20, width)


@settings(max_examples=60, deadline=None)
@given(dags())
def test_each_card_has_a_line_of_its_own(nodes: list[GraphNode]) -> None:
    tops = [found for found in nodes if found.parent is None][:30]
    text = text_graph(tops, width=200)

    for found in tops:
        assert sum(found.id in line.split("<-")[0].split() for line in text.splitlines()) == 1


def test_a_hostile_name_stays_on_its_line() -> None:
    assert text_graph([node("a\n\x1b[2Jb")]) == "✓ a\\x0a\\x1b[2Jb  run"


def test_an_empty_graph_has_no_lines() -> None:
    assert text_graph([]) == ""
