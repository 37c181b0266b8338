"""Graphs for the tests of pictures, and functions that read a drawn graph."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

from orc.projections.pictures.marks import MARKS
from orc.projections.pictures.nodes import GraphNode

STATES = tuple(MARKS)
SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]


def node(
    step_id: str,
    *needs: str,
    kind: str = "run",
    status: str | None = "succeeded",
    parent: str | None = None,
) -> GraphNode:
    """A node, with defaults for tests."""
    return GraphNode(step_id, kind, status, needs, parent)


def random_dag(seed: int, size: int, *, edges: int) -> list[GraphNode]:
    """Steps that need up to `edges` earlier ones each."""
    chance = random.Random(seed)
    return [
        node(
            f"s{index}",
            *(f"s{before}" for before in chance.sample(range(index), min(index, edges))),
            kind=chance.choice(("run", "prompt")),
            status=chance.choice(STATES),
        )
        for index in range(size)
    ]


@st.composite
def dags(draw: st.DrawFn) -> list[GraphNode]:
    """Graphs of up to 60 steps: sparse, dense, flat, deep; some steps are containers."""
    size = draw(st.integers(0, 60))
    reach = draw(st.sampled_from((1, 3, 10, 60)))
    most = draw(st.integers(0, 4))
    chance = random.Random(draw(st.integers(0, 1 << 16)))
    nodes = []
    for index in range(size):
        near = range(max(0, index - reach), index)
        needs = chance.sample(near, min(len(near), chance.randint(0, most)))
        nodes.append(
            node(
                f"s{index}",
                *(f"s{before}" for before in needs),
                kind=chance.choice(("run", "prompt", "for_each")),
                status=chance.choice(STATES),
            )
        )
        if chance.random() < 0.1:
            nodes += [
                node(f"s{index}[{item}]", parent=f"s{index}", status=chance.choice(STATES))
                for item in range(chance.randint(1, 5))
            ]
    return nodes


def parsed(svg: str) -> ET.Element:
    """The picture as XML."""
    return ET.fromstring(svg)


def edges_of(root: ET.Element) -> list[tuple[str, str]]:
    """The arrows, as pairs of the steps that they join."""
    return [
        (e.attrib["data-from"], e.attrib["data-to"]) for e in root.iter() if "data-from" in e.attrib
    ]


def cards_of(root: ET.Element) -> dict[str, ET.Element]:
    """The cards by the ids of their steps."""
    return {e.attrib["data-step"]: e for e in root.iter() if "data-step" in e.attrib}


def boxes_of(root: ET.Element) -> dict[str, Box]:
    """Left, top, right and bottom of each card."""
    found = {}
    for step_id, card in cards_of(root).items():
        (rect,) = (e for e in card.iter(f"{SVG}rect") if e.attrib["class"] == "g-box")
        x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        found[step_id] = (x, y, x + width, y + height)
    return found


def points_of(path: str) -> Iterator[tuple[float, float]]:
    """Points along an SVG path of the commands M, L, H, C and Q, close to each other."""
    x = y = 0.0
    for command, written in re.findall(r"([MLHCQ])([^MLHCQ]*)", path):
        numbers = [float(number) for number in written.split()]
        if command == "H":
            numbers.append(y)
        ends = [(x, y), *zip(numbers[::2], numbers[1::2], strict=True)]
        if command != "M":
            yield from (_on_curve(ends, step / 12) for step in range(13))
        x, y = ends[-1]


def _on_curve(ends: list[tuple[float, float]], part: float) -> tuple[float, float]:
    """De Casteljau: the point of a Bezier curve, of any degree."""
    while len(ends) > 1:
        ends = [
            (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part) for a, b in pairwise(ends)
        ]
    return ends[0]
