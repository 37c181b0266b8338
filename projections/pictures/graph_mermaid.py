"""A graph as a Mermaid flowchart, for READMEs and chats that render Mermaid."""

from __future__ import annotations

from collections.abc import Sequence

from orc.projections.pictures.marks import MARKS
from orc.projections.pictures.nodes import GraphNode, top_nodes

_ESCAPES = str.maketrans(
    {'"': "#quot;", "<": "#lt;", ">": "#gt;", "#": "#35;", "\n": " ", "\r": " "}
)
"""Mermaid's entities for characters that end a label or are read as markup."""


def mermaid_graph(nodes: Sequence[GraphNode]) -> str:
    """The top steps with their needs; steps that have a state are coloured."""
    tops = top_nodes(nodes)
    numbers = {node.id: f"s{index}" for index, node in enumerate(tops)}
    lines = ["flowchart LR"]
    for node in tops:
        suffix = f":::{node.status}" if node.status in _COLOURS else ""
        lines.append(f'    {numbers[node.id]}["{node.id.translate(_ESCAPES)}"]{suffix}')
    for node in tops:
        lines += [f"    {numbers[name]} --> {numbers[node.id]}" for name in node.needs]
    used = sorted({node.status for node in tops if node.status in _COLOURS})
    lines += [f"    classDef {status} fill:{_COLOURS[status]}" for status in used]
    return "\n".join(lines)


_COLOURS = {mark.state: mark.colour for mark in MARKS.values() if mark.state != "pending"}
