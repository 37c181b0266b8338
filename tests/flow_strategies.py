"""Random flows for Hypothesis: conditions, fan-outs, loops, groups, persons and budgets."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from tests.flow_model import Flow, Limit, Node

_LEAVES = ("pure", "ask", "ask", "person", "broken")
_CONDITIONS: tuple[Any, ...] = (
    "", "", "", "yes", "no", "success", "failure", "always", "cancelled",
)  # fmt: skip


@st.composite
def nodes(
    draw: st.DrawFn,
    node_id: str,
    before: list[Node],
    *,
    kinds: tuple[str, ...],
    depth: int,
    in_loop: bool,
) -> Node:
    """A step that may need any of those before it in the same body."""
    ids = [node.id for node in before]
    needs: list[str] = []
    if ids:
        needs = draw(st.lists(st.sampled_from(ids), max_size=2, unique=True))
    kind = draw(st.sampled_from((*kinds, "group") if depth else kinds))
    node = Node(
        node_id,
        kind,
        tuple(needs),
        condition=draw(st.sampled_from(_CONDITIONS)),
        is_tolerated=draw(st.sampled_from((False, False, True))),
        weak=draw(st.sampled_from((0, 0, 2, 8))) if kind == "ask" else 0,
        option=draw(st.sampled_from(("approve", "later", "reject"))) if kind == "person" else "",
    )
    if draw(st.sampled_from((False, False, True))):
        node = draw(_fan(node, before))
    if not in_loop and draw(st.sampled_from((False, False, True))):
        rounds = draw(st.integers(1, 3))
        until = draw(st.none() | st.integers(1, 4))
        exhausted = draw(st.sampled_from(("continue", "fail")))
        node = replace(node, rounds=rounds, until=until, exhausted=exhausted)
    if kind == "group":
        looped = in_loop or node.rounds is not None
        members = draw(_bodies(f"{node_id}_", kinds=kinds, depth=depth - 1, in_loop=looped))
        node = replace(node, members=members)
    return node


@st.composite
def _fan(draw: st.DrawFn, node: Node, before: list[Node]) -> Node:
    # What gives a list: another fan-out, outside loops, that this one needs.
    sources = [other.id for other in before if other.is_fan and other.rounds is None]
    sources = [name for name in sources if name in node.needs]
    abreast = draw(st.none() | st.integers(1, 2))
    takes_another = draw(st.booleans())
    if sources and takes_another:
        return replace(node, source=sources[0], abreast=abreast)
    condition = draw(st.sampled_from((node.condition, "item")))
    return replace(
        node,
        items=draw(st.integers(0, 3)),
        is_keyed=draw(st.booleans()),
        abreast=abreast,
        condition=condition,
    )


@st.composite
def _bodies(
    draw: st.DrawFn, prefix: str, *, kinds: tuple[str, ...], depth: int, in_loop: bool
) -> tuple[Node, ...]:
    found: list[Node] = []
    for index in range(draw(st.integers(1, 3 if prefix != "s" else 5))):
        drawn = nodes(f"{prefix}{index}", found, kinds=kinds, depth=depth, in_loop=in_loop)
        found.append(draw(drawn))
    return tuple(found)


@st.composite
def flows(draw: st.DrawFn, *, kinds: tuple[str, ...] = _LEAVES, depth: int = 2) -> Flow:
    """A job under limits that bind."""
    body = draw(_bodies("s", kinds=kinds, depth=depth, in_loop=False))
    return Flow(body, total=draw(st.integers(1, 4)), abreast=draw(st.integers(1, 3)))


@st.composite
def budgeted_flows(draw: st.DrawFn) -> Flow:
    """A job whose calls do not fit its budgets at once."""
    limits = st.builds(
        Limit,
        max_calls=st.none() | st.integers(1, 3),
        max_tokens=st.none() | st.integers(1, 4).map(lambda count: count * 400),
    ).filter(lambda limit: limit.max_calls is not None or limit.max_tokens is not None)
    flow = draw(flows(kinds=("ask", "ask", "pure"), depth=1))
    found = [
        replace(node, budget=draw(st.none() | limits)) if node.kind in ("ask", "group") else node
        for node in flow.nodes
    ]
    return replace(flow, nodes=tuple(found), budget=draw(st.none() | limits))
