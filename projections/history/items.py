"""The items, rounds and members of a step as lines of a table: input, output, and what they used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from orc.ledger.events import StepExpanded
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import read_or_lost
from orc.projections.history.turns import output_value
from orc.projections.scores.overview import ScoreMean, read_means_by_step
from orc.projections.tables.inside import Usage
from orc.projections.tables.job_view import JobView, read_attempt_rows
from orc.projections.tables.rows import StepRow

TEXT_CHARS_MAX = 300


class ItemLine(Struct, frozen=True):
    """A step inside another one. `input` and `output` are the beginnings of its values, on one line."""

    step: StepRow
    used: Usage
    input: str
    output: str
    means: tuple[ScoreMean, ...] = ()
    """The means of its scores, with those of the steps inside it."""


def read_items(
    reader: LedgerReader, view: JobView, container: str, *, first: int, count: int
) -> list[ItemLine]:
    """At most `count` of the steps directly inside `container`, from number `first`, from 1."""
    children = view.children_of.get(container, [])[first - 1 : first - 1 + count]
    return lines_of(reader, view, container, children)


def lines_of(
    reader: LedgerReader,
    view: JobView,
    container: str,
    children: Sequence[StepRow],
    inputs: Mapping[str, Any] | None = None,
) -> list[ItemLine]:
    """The lines of these steps, which are directly inside `container`.

    `inputs` is what `read_inputs` gives, if the caller has it.
    """
    if not children:
        return []
    if inputs is None:
        inputs = read_inputs(reader, view.job.job_id, container)
    inside = {child.name: view.inside(child.name) for child in children}
    means = read_means_by_step(reader.connection, view.job.job_id, inside)
    return [
        ItemLine(
            child,
            view.usage[child.name],
            one_line(inputs[child.name]) if child.name in inputs else "",
            _output(reader, view, child),
            tuple(means.get(child.name, ())),
        )
        for child in children
    ]


def read_inputs(reader: LedgerReader, job_id: str, container: str) -> dict[str, Any]:
    """The value of each item of a step, by the item's id. Rounds and members of groups have none."""
    found: dict[str, Any] = {}
    events = (recorded.event for recorded in reader.read_step(job_id, container))
    for event in _expansions(events):
        values, _ = read_or_lost(reader, event.values)
        if isinstance(values, list):
            found.update(zip(event.children, values, strict=False))
    return found


def _expansions(events: Iterable[Any]) -> Iterable[StepExpanded]:
    return (event for event in events if isinstance(event, StepExpanded))


def one_line(value: Any) -> str:
    """A value on one line: a text, `name: value` for the entries of a mapping, or JSON."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, Mapping):
        text = ", ".join(f"{name}: {one_line(inner)}" for name, inner in value.items())
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = " ".join(text[: 4 * TEXT_CHARS_MAX].split())
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]}…"


def _output(reader: LedgerReader, view: JobView, step: StepRow) -> str:
    if step.failure:
        return one_line(step.failure)
    if step.status != "succeeded":
        return ""
    job_id = view.job.job_id
    attempts = view.attempts_of.get(step.name) or read_attempt_rows(
        reader.connection, job_id, step.name
    )
    version = attempts[-1].result_version if attempts else None
    # A step that reused a result has no attempt. To find its event takes a search of the job.
    events = (
        [reader.read_event(job_id, version)] if version else reader.read_step(job_id, step.name)
    )
    value, lost = output_value(reader, list(events)) or (None, None)
    if lost is not None:
        return f"its bytes {lost}"
    return "" if value is None else one_line(value)
