"""What jobs with conditions, fan-outs, loops, groups and persons must do, said a second time.

An oracle that shares no code with the scheduler, written from the page of the
spec language alone. Whatever ends of a flow depend on is in the flow itself, never
in when things happen; so how it ends is found by walking it, without a clock.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

Condition = Literal["", "yes", "no", "success", "failure", "always", "cancelled", "item"]
_ANY_END = ("failure", "always", "cancelled")


class Limit(Struct, frozen=True):
    """A budget: the most calls, tokens or dollars, and what happens beyond."""

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    on_exceeded: str = "pause"


class Node(Struct, frozen=True):
    """A step: what it does, and how often, and when.

    `kind`: `ask` asks a model, `pure` gives a value, `broken` has a value that cannot
    be rendered, `person` waits for a decision, `group` holds `members`. `items`: how
    many there are; `source`: the node whose output they are; `repeat`: how often each.
    `rounds`: the most there are; `until`: the round after which it is good. `weak`: how many
    of eight names fail.
    """

    id: str
    kind: str = "pure"
    needs: tuple[str, ...] = ()
    condition: Condition = ""
    is_tolerated: bool = False
    items: int | None = None
    source: str | None = None
    is_keyed: bool = False
    abreast: int | None = None
    repeat: int = 1
    rounds: int | None = None
    until: int | None = None
    exhausted: str = "continue"
    members: tuple[Node, ...] = ()
    option: str = "approve"
    weak: int = 0
    hiccups: int = 0
    budget: Limit | None = None
    on_unknown: str = "retry"

    @property
    def is_fan(self) -> bool:
        """Whether it is done once for each item."""
        return self.items is not None or self.source is not None

    def fails(self, name: str) -> bool:
        """Whether the model always refuses the step of this name."""
        return zlib.crc32(name.encode()) % 8 < self.weak


class Flow(Struct, frozen=True):
    """A job; each node stands behind what it needs. No node has as many hiccups as `attempts_max`.

    A circuit opens after `threshold` failures in a row, for `cooldown_s`. `rate` is the most calls
    a minute, `token_rate` the most tokens.
    """

    nodes: tuple[Node, ...]
    total: int = 100
    abreast: int = 100
    budget: Limit | None = None
    attempts_max: int = 1
    threshold: int = 5
    cooldown_s: float = 60.0
    rate: int | None = None
    token_rate: int | None = None


class End(Struct, frozen=True):
    """How a step ended. `upstream`: something before it had failed."""

    status: str
    output: Any = None
    is_tolerated: bool = False
    upstream: bool = False

    @property
    def is_good(self) -> bool:
        """Whether what needs it starts."""
        return self.status == "succeeded" or (self.status == "failed" and self.is_tolerated)

    @property
    def is_bad(self) -> bool:
        """Whether it is a failure that counts."""
        return self.status == "failed" and not self.is_tolerated


@dataclass
class Walk:
    """How a flow ends, step by step: the status and the output of each that comes into being."""

    ends: dict[str, End] = field(default_factory=dict)

    @property
    def statuses(self) -> dict[str, str]:
        """Each step's status."""
        return {name: end.status for name, end in self.ends.items()}

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs of those that succeeded."""
        return {name: end.output for name, end in self.ends.items() if end.status == "succeeded"}


def walk(flow: Flow) -> Walk:
    """How the flow ends, whatever the order in which its steps run."""
    found = Walk()
    _body(found, flow.nodes, "", {}, {}, upstream=False)
    return found


def job_status(flow: Flow, ends: Mapping[str, End]) -> str:
    """How the job ends."""
    return "failed" if any(ends[node.id].is_bad for node in flow.nodes) else "succeeded"


def all_nodes(nodes: Sequence[Node]) -> Iterator[Node]:
    """Every node, at any depth."""
    for node in nodes:
        yield node
        yield from all_nodes(node.members)


def _body(
    found: Walk,
    nodes: Sequence[Node],
    prefix: str,
    outer: Mapping[str, End],
    around: Mapping[str, Any],
    *,
    upstream: bool,
) -> dict[str, End]:
    ends: dict[str, End] = {}
    for node in nodes:
        seen = {**outer, **ends}
        needs = [ends[name] for name in node.needs]
        has_failed = upstream or any(end.upstream or end.is_bad for end in needs)
        name = prefix + node.id
        if not _may_start(node, needs) or not _holds(node, has_failed=has_failed):
            end = End("skipped", upstream=has_failed)
        else:
            end = _outer(found, node, name, seen, around, upstream=has_failed)
        found.ends[name] = ends[node.id] = end
    return ends


def _may_start(node: Node, needs: Sequence[End]) -> bool:
    return node.condition in _ANY_END or all(end.is_good for end in needs)


def _holds(node: Node, *, has_failed: bool) -> bool:
    match node.condition:
        case "no" | "cancelled":
            return False
        case "failure":
            return has_failed
    return True


def _outer(
    found: Walk,
    node: Node,
    name: str,
    seen: Mapping[str, End],
    around: Mapping[str, Any],
    *,
    upstream: bool,
) -> End:
    """The node with its items."""
    if not node.is_fan:
        return _looped(found, node, name, seen, around, upstream=upstream)
    items = item_values(node) if node.source is None else seen[node.source].output
    if not isinstance(items, list):
        # It cannot expand, which no `continue_on_error` of its own tolerates: that is for its items.
        return End("failed", None, upstream=upstream)
    children = []
    for number, item in enumerate(item for item in items for _ in range(node.repeat)):
        child = f"{name}[{_key(node, number)}]"
        if node.condition == "item" and item == 1:
            end = End("skipped", upstream=upstream)
        else:
            inner = {**around, f"item_{node.id}": item}
            end = _looped(found, node, child, seen, inner, upstream=upstream)
        found.ends[child] = end
        children.append(end)
    if any(end.is_bad for end in children):
        return _failure(node, upstream)
    return End("succeeded", [end.output for end in children], upstream=upstream)


def _key(node: Node, number: int) -> str:
    """The key of the child with that number: with repetitions, it says which one it is."""
    if not node.is_keyed:
        return str(number)
    item, repetition = divmod(number, node.repeat)
    return f"k{item}" if node.repeat == 1 else f"k{item}-{repetition + 1}"


def item_values(node: Node) -> list[Any]:
    """The items that stand in the spec."""
    return list(range(node.items or 0))


def _looped(
    found: Walk,
    node: Node,
    name: str,
    seen: Mapping[str, End],
    around: Mapping[str, Any],
    *,
    upstream: bool,
) -> End:
    """The node with its rounds."""
    if node.rounds is None:
        return _inner(found, node, name, seen, around, node.is_tolerated, upstream=upstream)
    previous = None
    for number in range(1, node.rounds + 1):
        child = f"{name}#{number}"
        inner = {**around, "loop": number, "previous": previous}
        end = _inner(found, node, child, seen, inner, False, upstream=upstream)
        found.ends[child] = end
        if end.status == "failed":
            return _failure(node, upstream)
        previous = end.output
        if node.until == number:
            break
    else:
        if node.until is not None and node.exhausted == "fail":
            return _failure(node, upstream)
    return End("succeeded", previous, upstream=upstream)


def _inner(
    found: Walk,
    node: Node,
    name: str,
    seen: Mapping[str, End],
    around: Mapping[str, Any],
    is_tolerated: bool,
    *,
    upstream: bool,
) -> End:
    """What is done once."""
    failure = End("failed", None, is_tolerated, upstream)
    match node.kind:
        case "group":
            ends = _body(found, node.members, f"{name}/", seen, around, upstream=upstream)
            if any(end.is_bad for end in ends.values()):
                return failure
            return End("succeeded", {key: end.output for key, end in ends.items()}, False, upstream)
        case "broken":
            return failure
        case "person":
            answer = {"decision": node.option, "comment": None, "by": "ann"}
            if node.option == "reject":
                return End("failed", answer, is_tolerated, upstream)
            return End("succeeded", answer, False, upstream)
        case "ask":
            if node.fails(name):
                return failure
            told = told_to(node, {key: end.output for key, end in seen.items()}, around)
            return End("succeeded", {"by": name, "of": checksum(told)}, False, upstream)
    told = told_to(node, {key: end.output for key, end in seen.items()}, around)
    return End("succeeded", told, False, upstream)


def _failure(node: Node, upstream: bool) -> End:
    return End("failed", None, node.is_tolerated, upstream)


def told_to(node: Node, outputs: Mapping[str, Any], around: Mapping[str, Any]) -> dict[str, Any]:
    """What the step's text makes of what it can name."""
    return {
        "id": node.id,
        "needs": {name: gist(outputs[name]) for name in node.needs},
        "around": {name: gist(value) for name, value in around.items()},
    }


def gist(value: Any) -> list[Any]:
    """Enough of a value to tell it from others."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return [text[:60], len(text)]


def checksum(value: Any) -> int:
    """A small number in place of a large value."""
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())
