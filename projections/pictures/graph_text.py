"""Pictures of a job's graph from its steps and their needs: Mermaid and plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_INSIDE_MAX = 20
_MARKS = {
    "pending": "·",
    "running": "▶",
    "waiting": "…",
    "succeeded": "✓",
    "failed": "✗",
    "skipped": "-",
    "cancelled": "⊘",
}
_COLOURS = {
    "running": "#cfe2ff",
    "waiting": "#fff3cd",
    "succeeded": "#d1e7dd",
    "failed": "#f8d7da",
    "skipped": "#e2e3e5",
    "cancelled": "#e2e3e5",
}
_MERMAID = str.maketrans(
    {'"': "#quot;", "<": "#lt;", ">": "#gt;", "#": "#35;", "\n": " ", "\r": " "}
)
"""Mermaid's own entities for what would end a label or be read as markup."""


def mermaid_graph(
    needs: Mapping[str, Sequence[str]], statuses: Mapping[str, str] | None = None
) -> str:
    """The graph as a Mermaid flowchart; with statuses, coloured by them."""
    numbers = {step_id: f"s{index}" for index, step_id in enumerate(needs)}
    lines = ["flowchart LR"]
    for step_id, number in numbers.items():
        status = (statuses or {}).get(step_id)
        suffix = f":::{status}" if status in _COLOURS else ""
        lines.append(f'    {number}["{step_id.translate(_MERMAID)}"]{suffix}')
    for step_id, names in needs.items():
        lines += [f"    {numbers[name]} --> {numbers[step_id]}" for name in names]
    if statuses:
        used = sorted(set(statuses.values()) & set(_COLOURS))
        lines += [f"    classDef {status} fill:{_COLOURS[status]}" for status in used]
    return "\n".join(lines)


def text_graph(
    needs: Mapping[str, Sequence[str]],
    statuses: Mapping[str, str] | None = None,
    inside: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The graph as text: a line a step, indented by its depth, with what it waits for.

    `inside` has what steps hold that came into being while the job ran: it stands
    below them, the first twenty of each.
    """
    depths: dict[str, int] = {}
    for step_id in _in_order(needs):
        depths[step_id] = max((depths[name] + 1 for name in needs[step_id]), default=0)
    width = max((depths[s] * 2 + len(s) for s in needs), default=0)
    lines = []
    for step_id in sorted(needs, key=lambda name: depths[name]):
        mark = f"{_MARKS.get((statuses or {}).get(step_id, ''), ' ')} " if statuses else ""
        name = f"{'  ' * depths[step_id]}{step_id}"
        waits = f"  <- {', '.join(needs[step_id])}" if needs[step_id] else ""
        lines.append(f"{mark}{name:<{width}}{waits}".rstrip())
        lines += _inside(step_id, inside or {}, statuses or {}, depths[step_id] + 2)
    return "\n".join(lines)


def _inside(
    step_id: str, inside: Mapping[str, Sequence[str]], statuses: Mapping[str, str], depth: int
) -> list[str]:
    children = inside.get(step_id, ())
    lines = []
    for child in children[:_INSIDE_MAX]:
        mark = f"{_MARKS.get(statuses.get(child, ''), ' ')} "
        lines.append(f"{mark}{'  ' * depth}{child}")
        lines += _inside(child, inside, statuses, depth + 1)
    if len(children) > _INSIDE_MAX:
        lines.append(f"  {'  ' * depth}and {len(children) - _INSIDE_MAX} more")
    return lines


def _in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The steps so that each comes after its needs."""
    left = {step_id: len(names) for step_id, names in needs.items()}
    dependents: dict[str, list[str]] = {step_id: [] for step_id in needs}
    for step_id, names in needs.items():
        for name in names:
            dependents[name].append(step_id)
    order = [step_id for step_id, count in left.items() if count == 0]
    for step_id in order:
        for name in dependents[step_id]:
            left[name] -= 1
            if left[name] == 0:
                order.append(name)
    return order
