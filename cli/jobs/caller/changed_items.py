"""Counts the items of the fan-outs that an amendment runs again, where they are known before it runs."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from orc.cli.jobs.caller.read_inputs import InputReader
from orc.ledger import LedgerReader
from orc.ledger.definition import JobDef, StepDef
from orc.ledger.errors import RemovedBlob
from orc.ledger.events import Payload
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.step_names import names_of_keys
from orc.ledger.wording import count_text, number_text
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.compare import Plan
from orc.scheduler.core.fold.containers import CHILDREN_MAX, child_ids
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.resolve.item_keys import keys_of
from orc.scheduler.core.resolve.item_lists import list_items
from orc.scheduler.core.resolve.known_steps import scopes_of_items
from orc.scheduler.core.resolve.settings import is_known, scope_at_submission


def with_counts(
    plan: Plan,
    ledger: LedgerReader,
    state: JobState,
    definition: JobDef,
    reader: InputReader | None,
) -> Plan:
    """The plan that says how many items are new or have changed, of the steps whose items are known.

    `reader` has read the inputs of the `definition`. Of values that were removed from the ledger,
    nothing is said.
    """

    def rows_of(found: ReadInput) -> list[Any] | None:
        own = None if reader is None else reader.rows(found)
        if own is not None or found.type != "table":
            return own
        parts = [Payload(sha256=part.sha256, size_bytes=part.size_bytes) for part in found.parts]
        return [row for part in parts for row in ledger.read_payload(part)]

    scope = scope_at_submission(definition)
    runs = dict(plan.runs)
    for step in definition.steps:
        if step.id not in plan.kept_items or step.for_each is None:
            continue
        try:
            read = {name: rows_of(found) for name, found in definition.read.items()}
            before = _before(step.id, state, ledger)
        except RemovedBlob:
            continue
        inputs = {name: rows for name, rows in read.items() if rows is not None}
        known = _known(step, {**scope, "inputs": {**scope["inputs"], **inputs}})
        if known is None:
            continue
        changed = sum(name not in before or before[name] != value for name, value in known.items())
        verb = "is new or has changed" if changed == 1 else "are new or have changed"
        runs[step.id] += f"; {number_text(changed)} of {count_text(len(known), 'item')} {verb}"
    return replace(plan, runs=runs)


def _known(step: StepDef, scope: dict[str, Any]) -> dict[str, Any] | None:
    """The values of the items by the ids of their steps; None if they are not known yet."""
    assert step.for_each is not None
    scopes = scopes_of_items(step, [scope])
    if scopes is None or not is_known([step.for_each.items, step.for_each.matrix], scope):
        return None
    try:
        values = list_items(step.for_each, scope)
        keys = tuple(map(str, range(len(values))))
        if step.for_each.key is not None:
            if len(scopes) != len(values) or not is_known(step.for_each.key, scopes[0]):
                return None
            keys = names_of_keys(keys_of(step.for_each, scopes))
    except (TemplateError, IndexError):
        return None
    return dict(zip(child_ids(step.id, step, keys), values, strict=True))


def _before(step_id: str, state: JobState, ledger: LedgerReader) -> dict[str, Any]:
    """The values of the items that have results."""
    inside = state.steps[step_id].inside
    if inside is None:
        return {}
    values = [value for part in inside.values for value in _value(part, ledger)]
    return {
        name: values[number]
        for number, name in enumerate(inside.children)
        if state.steps[name].status == "succeeded" and number < len(inside.values) * CHILDREN_MAX
    }


def _value(part: Payload, ledger: LedgerReader) -> list[Any]:
    found: list[Any] = part.value if part.sha256 is None else ledger.read_payload(part)
    return found
