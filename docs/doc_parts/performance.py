"""The recorded figures of `benchmarks/results.json`, as the tables of `docs/performance.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from doc_parts.markup import table

_RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results.json"
_HEADS = (
    "work", "figure", "yardstick", "ratio", "target", "CPU a step", "peak memory",
)  # fmt: skip
_PARTS = {
    "chain": (
        "A chain on the disk",
        "A commit waits for the disk: no program that keeps each step before the next is faster than "
        "one row a commit. A value over 1 kB is committed before the next step, which may read it. "
        "Smaller values that depend on each other share commits, since nothing happens between "
        "them outside of orc.",
    ),
    "fans": (
        "A fan",
        "Many steps end in one commit. The limit is the processor: what one step costs, and the rows "
        "that SQLite inserts.",
    ),
    "items": (
        "Items of a fan-out",
        "The limit is the processor and the memory of the state: both must grow with the items only.",
    ),
    "layers": (
        "Layers",
        "A layer ends in a few commits. The limit is that of a chain and of a fan.",
    ),
    "prompts": (
        "Replayed prompts",
        "Three commits a step, shared by those that run at the same time.",
    ),
    "calls": (
        "Calls to a model",
        "The limit is the SDK itself, which sends the same requests alone.",
    ),
    "streams": (
        "Streams of a model",
        "The limit is the SDK itself, which reads the same streams alone.",
    ),
    "commands": ("Commands", "The limit is the start of a process by the system."),
    "functions": ("Functions that compute", "The limit is the work itself, divided by the cores."),
    "captures": (
        "Commands with files",
        "The limit is the start of a process, and the copy of a file.",
    ),
    "costs": (
        "Costs of a step",
        "The limit is the processor: the yardstick does the least that the work needs.",
    ),
    "reading": (
        "A large job, read again",
        "The limit is the processor: each event is read, checked and folded. A resume does this once, "
        "for the state and for the run folder.",
    ),
    "contents": (
        "Bytes and texts",
        "The limit of `orc verify` is the hash of each byte, and that of a search the index itself.",
    ),
    "start": (
        "Start-up",
        "The limit is the interpreter and the packages without which the command cannot work.",
    ),
    "submission": (
        "Submission",
        "The limit is libyaml, which parses the text once and checks nothing.",
    ),
    "pages": ("Pages of a million events", "The limit is Datasette's own page of one table."),
    "evaluations": (
        "Pages of evaluations",
        "The limit is the same page with a tenth of the items.",
    ),
    "scores": ("Scores", "The limit is the same numbers computed by the yardstick."),
    "cluster": (
        "Steps on a cluster",
        "The limit is the same work on this machine, and the network between the two.",
    ),
    "peers": (
        "Beside another engine",
        "Whole processes. The other engine keeps the result of a function, and has no file of a job, no "
        "graph and no checks; each of its steps is a commit, while orc commits those that end together.",
    ),
}
"""By part of the benchmarks: a title, and what bounds the figures physically."""


def render_performance() -> str:
    """For each part that was recorded, the machine and a table."""
    if not _RESULTS.exists():
        return "No figures are recorded. `python -m benchmarks --record` measures and records them."
    parts = json.loads(_RESULTS.read_text("utf-8"))["parts"]
    said = []
    known = [name for name in _PARTS if name in parts]
    for name in (*known, *sorted(parts.keys() - _PARTS.keys())):
        title, limit = _PARTS.get(name, (name.capitalize(), ""))
        part = parts[name]
        said.append(f"### {title}")
        when = f"Measured on {part['date']} with {_machine(part['machine'])}: `{part['command']}`."
        said.append(f"{limit} {when}".strip())
        said.append(_table([_row(figure) for figure in part["figures"]]))
    return "\n\n".join(said)


def _table(rows: list[tuple[str, ...]]) -> str:
    """The table without the columns that all rows leave empty."""
    kept = [number for number, column in enumerate(zip(*rows, strict=True)) if any(column)]
    return table(
        [_HEADS[number] for number in kept], [[row[number] for number in kept] for row in rows]
    )


def _machine(machine: dict[str, Any]) -> str:
    return (
        f"{machine['processor']}, {machine['processors']} processors, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, SQLite {machine['sqlite']}"
    )


def _row(figure: dict[str, Any]) -> tuple[str, ...]:
    work, unit = _divided(figure["name"])
    beside, beside_unit = _divided(figure["beside"])
    ratio, yard = figure["ratio"], figure["beside_value"]
    return (
        work,
        f"{_number(figure['value'])} {unit}".strip(),
        "" if yard is None else f"{beside}: {_number(yard)} {beside_unit or unit}".strip(),
        "" if ratio is None else f"{ratio:.2f}{_range(figure.get('middle'))}",
        figure["target"],
        _optional(figure.get("cpu_us_a_step"), "us"),
        _optional(figure.get("peak_mb"), "MB"),
    )


def _range(middle: list[float] | None) -> str:
    return "" if middle is None else f" ({middle[0]:.2f} to {middle[1]:.2f})"


def _divided(name: str) -> tuple[str, str]:
    """What was measured, and its unit: `fan of 10,000: steps/s`."""
    work, colon, unit = name.rpartition(": ")
    return (work, unit) if colon else (name, "")


def _optional(value: float | None, unit: str) -> str:
    return "" if value is None else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
