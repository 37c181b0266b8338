"""The graph for Mermaid and for Graphviz: characters that end a label are escaped."""

from __future__ import annotations

import re

from orc.projections import mermaid_graph
from orc.projections.pictures.graph_dot import dot_graph
from orc.projections.pictures.nodes import nodes_of_needs
from tests.projections.pictures.graphs import node

DIAMOND = nodes_of_needs({"top": (), "left": ("top",), "right": ("top",), "end": ("left", "right")})


def test_mermaid_has_a_box_for_each_step_and_an_arrow_for_each_need() -> None:
    assert mermaid_graph(DIAMOND).splitlines() == [
        "flowchart LR",
        '    s0["top"]',
        '    s1["left"]',
        '    s2["right"]',
        '    s3["end"]',
        "    s0 --> s1",
        "    s0 --> s2",
        "    s1 --> s3",
        "    s2 --> s3",
    ]


def test_mermaid_colours_the_states_that_occur() -> None:
    lines = mermaid_graph([node("a"), node("b", "a", status="pending")]).splitlines()

    assert '    s0["a"]:::succeeded' in lines
    assert '    s1["b"]' in lines
    assert [line.split()[1] for line in lines if "classDef" in line] == ["succeeded"]


def test_mermaid_leaves_out_the_steps_inside_a_step() -> None:
    assert mermaid_graph([node("a", status=None), node("a[0]", parent="a")]).count("[") == 1


def test_mermaid_escapes_characters_that_end_a_label() -> None:
    (box,) = mermaid_graph(nodes_of_needs({'a["x"] <b> #quot;': ()})).splitlines()[1:]

    assert box == '    s0["a[#quot;x#quot;] #lt;b#gt; #35;quot;"]'


def test_mermaid_keeps_a_label_on_one_line() -> None:
    assert len(mermaid_graph(nodes_of_needs({"a\n b --> c": ()})).splitlines()) == 2


def test_dot_has_a_node_for_each_step_and_an_arrow_for_each_need() -> None:
    lines = [line.strip() for line in dot_graph(DIAMOND).splitlines()]

    assert (lines[0], lines[-1]) == ("digraph {", "}")
    assert lines[3:-1] == [
        's0 [label="top"]',
        's1 [label="left"]',
        's2 [label="right"]',
        's3 [label="end"]',
        "s0 -> s1",
        "s0 -> s2",
        "s1 -> s3",
        "s2 -> s3",
    ]


def test_dot_shows_states_by_mark_and_colour_and_counts_the_steps_inside() -> None:
    text = dot_graph(
        [node("a", status="failed"), node("a[0]", parent="a"), node("b", status="skipped")]
    )

    assert 's0 [label="✗ a\\nrun, 1: 1 succeeded", class="failed", fillcolor="#f8d7da"]' in text
    assert (
        'label="- b\\nrun", class="skipped", fillcolor="#e2e3e5", style="rounded,filled,dashed"'
        in text
    )


def test_dot_escapes_characters_that_end_a_label() -> None:
    (line,) = (
        line
        for line in dot_graph(
            [node('a"] b\\', status=None), node("c&lt;\nd", kind="")]
        ).splitlines()
        if "s0 [" in line
    )
    assert 's0 [label="a\\"] b\\\\\\nrun"]' in line
    labels = re.findall(r'label="((?:[^"\\]|\\.)*)"', dot_graph([node("c&lt;\nd", status=None)]))
    assert labels == ["c&amp;lt;\\\\x0ad\\nrun"]
