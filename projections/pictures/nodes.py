"""The graph of a job or of a spec as nodes, from which every picture of it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.wording import count_text, duration_text
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import step_state


class GraphNode(Struct, frozen=True):
    """A step: `status` is a state of `marks.py`, or None in a spec.

    `needs` are ids of nodes with the same parent; `parent` is the id of the container.
    `note` is short: attempts and duration.
    """

    id: str
    kind: str = ""
    status: str | None = None
    needs: tuple[str, ...] = ()
    parent: str | None = None
    note: str = ""


def nodes_of_view(view: JobView, *, is_live: bool = True) -> list[GraphNode]:
    """The steps of a job. If no process runs it, running steps are shown as `interrupted`."""
    return [
        GraphNode(
            step.name,
            step.kind,
            step_state(view, step, is_live=is_live),
            step.needed,
            step.parent,
            _note(step),
        )
        for step in view.steps
    ]


def nodes_of_needs(
    needs: Mapping[str, Sequence[str]], kinds: Mapping[str, str] | None = None
) -> list[GraphNode]:
    """The steps of a spec, from the needs of each step."""
    return [
        GraphNode(step_id, (kinds or {}).get(step_id, ""), None, tuple(names))
        for step_id, names in needs.items()
    ]


def top_nodes(nodes: Sequence[GraphNode]) -> list[GraphNode]:
    """The nodes without a parent, with their needs among each other."""
    known = {node.id for node in nodes}
    tops = {node.id: node for node in nodes if node.parent not in known}
    return [
        replace(node, needs=tuple(name for name in node.needs if name in tops and name != node.id))
        for node in tops.values()
    ]


def _note(step: StepRow) -> str:
    parts = [count_text(step.attempts, "attempt")] if step.attempts > 1 else []
    if step.duration_s is not None and step.attempts:
        parts.append(duration_text(step.duration_s))
    return ", ".join(parts)
