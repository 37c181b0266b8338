"""The places of boxes: columns, bands and order."""

from __future__ import annotations

from orc.projections.pictures.layout import Box, Layout, place_boxes
from orc.projections.pictures.ordering import order_columns


def placed(
    needs: dict[str, tuple[str, ...]], *, rows_max: int = 5, width_max: float = 900
) -> Layout:
    boxes = [Box(name, 100, 40, before) for name, before in needs.items()]
    return place_boxes(boxes, rows_max=rows_max, width_max=width_max, gap_x=50, gap_y=10)


def bands(layout: Layout) -> list[int]:
    return [column.band for column in layout.columns]


def test_a_chain_is_a_straight_line() -> None:
    layout = placed({"a": (), "b": ("a",), "c": ("b",)})

    assert len({place.top for place in layout.places.values()}) == 1
    assert [layout.places[name].left for name in "abc"] == [28, 178, 328]


def test_a_chain_that_is_too_long_continues_in_the_next_band() -> None:
    needs: dict[str, tuple[str, ...]]
    needs = {f"s{n}": (f"s{n - 1}",) if n else () for n in range(20)}
    layout = placed(needs)

    assert bands(layout) == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    assert layout.places["s5"].left == layout.places["s0"].left
    assert layout.places["s5"].top > layout.places["s4"].top + 40
    assert layout.width <= 900


def test_a_slightly_wider_graph_is_not_wrapped() -> None:
    assert bands(placed({f"s{n}": (f"s{n - 1}",) if n else () for n in range(7)})) == [0] * 7


def test_a_column_has_at_most_rows_max_boxes() -> None:
    needs: dict[str, tuple[str, ...]] = {"a": (), **{f"s{n}": ("a",) for n in range(12)}}
    needs["z"] = tuple(f"s{n}" for n in range(12))
    layout = placed(needs)

    assert [len(column.ids) for column in layout.columns] == [1, 5, 5, 2, 1]
    assert layout.places["z"].column == 4


def test_a_box_is_at_the_middle_of_its_needs() -> None:
    places = placed({"a": (), "b": (), "c": (), "z": ("a", "b", "c")}).places

    assert places["z"].middle == places["b"].middle


def test_boxes_without_arrows_begin_at_the_top() -> None:
    layout = placed({f"s{n}": () for n in range(7)})

    assert layout.places["s0"].top == layout.places["s5"].top


def test_an_empty_graph_has_no_places() -> None:
    assert placed({}).places == {}


def test_columns_are_ordered_so_that_few_arrows_cross() -> None:
    needs: dict[str, tuple[str, ...]]
    needs = {"a": (), "b": (), "c": (), "x": ("c",), "y": ("b",), "z": ("a",), "end": ("x",)}
    dependents: dict[str, list[str]]
    dependents = {"a": ["z"], "b": ["y"], "c": ["x"], "x": ["end"], "y": [], "z": [], "end": []}
    columns = [["a", "b", "c"], ["x", "y", "z"], ["end"]]
    order_columns(columns, needs, dependents)

    assert columns in (
        [["a", "b", "c"], ["z", "y", "x"], ["end"]],
        [["c", "b", "a"], ["x", "y", "z"], ["end"]],
    )


def test_the_branches_of_a_tree_do_not_mix() -> None:
    needs: dict[str, tuple[str, ...]] = {"t1": ()}
    needs |= {f"t{n}": (f"t{n // 2}",) for n in range(2, 32)}
    layout = placed(needs, rows_max=16, width_max=2000)

    for column in layout.columns:
        assert column.ids == sorted(column.ids, key=lambda name: int(name[1:]))


def test_branches_that_join_do_not_mix() -> None:
    needs: dict[str, tuple[str, ...]] = {f"t{n}": () for n in range(32, 64)}
    needs |= {f"t{n}": (f"t{2 * n}", f"t{2 * n + 1}") for n in range(31, 0, -1)}
    layout = placed(needs, rows_max=16, width_max=2000)

    for column in layout.columns:
        numbers = [int(name[1:]) for name in column.ids]
        assert numbers in (sorted(numbers), sorted(numbers, reverse=True))
