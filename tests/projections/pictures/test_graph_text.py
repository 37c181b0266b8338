"""Pictures of a job's graph."""

from __future__ import annotations

from projections import mermaid_graph, text_graph

DIAMOND = {"top": (), "left": ("top",), "right": ("top",), "end": ("left", "right")}


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


def test_mermaid_colours_the_statuses_that_occur() -> None:
    lines = mermaid_graph({"a": (), "b": ("a",)}, {"a": "succeeded", "b": "pending"}).splitlines()
    assert '    s0["a"]:::succeeded' in lines
    assert '    s1["b"]' in lines
    assert [line.split()[1] for line in lines if "classDef" in line] == ["succeeded"]


def test_mermaid_escapes_what_would_end_a_label() -> None:
    (box,) = mermaid_graph({'a["x"] <b> #quot;': ()}).splitlines()[1:]
    assert box == '    s0["a[#quot;x#quot;] #lt;b#gt; #35;quot;"]'


def test_mermaid_keeps_a_label_on_one_line() -> None:
    assert len(mermaid_graph({"a\n b --> c": ()}).splitlines()) == 2


def test_text_indents_by_depth_and_names_the_needs() -> None:
    assert text_graph(DIAMOND).splitlines() == [
        "top",
        "  left   <- top",
        "  right  <- top",
        "    end  <- left, right",
    ]


def test_text_marks_the_statuses() -> None:
    statuses = {"top": "succeeded", "left": "failed", "right": "running", "end": "pending"}
    assert [line[0] for line in text_graph(DIAMOND, statuses).splitlines()] == ["✓", "✗", "▶", "·"]


def test_text_puts_a_step_after_its_needs_however_the_spec_orders_them() -> None:
    lines = text_graph({"last": ("middle",), "middle": ("first",), "first": ()}).splitlines()
    assert [line.split()[0] for line in lines] == ["first", "middle", "last"]


def test_an_empty_graph_has_no_lines() -> None:
    assert text_graph({}) == ""
    assert mermaid_graph({}) == "flowchart LR"
