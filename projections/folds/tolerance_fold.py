"""Finds the tolerated failures in a job's events: those that did not end the job.

The tables take them from `tolerances_of`, the manifest from `ToleranceFold`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orc.ledger.events import (
    Payload,
    Recorded,
    ToleratedCount,
)
from orc.ledger.file_owners import dropped_by
from orc.ledger.kinds import UNTIL_STILL_FALSE
from orc.ledger.step_names import is_within
from orc.projections.folds.tolerated import Tolerance, Tolerated

MESSAGE_CHARS_MAX = 200


def tolerances_of(recorded: Recorded) -> Sequence[Tolerance]:
    """The failures that the event records and that do not end the job; none for most events."""
    event = recorded.event
    if event.type == "step.started" or (event.type == "step.succeeded" and event.warning is None):
        return ()
    if event.type == "step.reused":
        message = f"in the result from {event.from_job}"
        return [
            Tolerance(
                event.step,
                one.setting,
                one.kind,
                message,
                f"{recorded.version}.{number}",
                one.failures,
            )
            for number, one in enumerate(event.tolerated or ())
        ]
    found = _tolerance_of(recorded)
    return () if found is None else (found,)


def _tolerance_of(recorded: Recorded) -> Tolerance | None:
    event, key = recorded.event, str(recorded.version)
    match event.type:
        case "step.failed" if event.tolerated:
            return Tolerance(event.step, "continue_on_error", event.kind, event.message, key)
        case "step.succeeded" if (event.warning or "").startswith(UNTIL_STILL_FALSE):
            return Tolerance(event.step, "on_exhausted", "until", str(event.warning), key)
        case "step.switched":
            kind, found, _ = event.message.partition(": ")
            kind = kind if found else "circuit"
            return Tolerance(event.step, "fallback", kind, event.message, key)
        case "tool.returned" if event.is_error:
            message = f"{event.tool}: {_beginning(event.result)}"
            return Tolerance(event.step, "tools", "tool", message, key)
        case "llm.requested" | "cache.hit" if event.corrects is not None:
            key = event.request_sha256[:16]
            return Tolerance(event.step, "repair", "schema", event.corrects, key)
    return None


def _beginning(result: Payload) -> str:
    """The beginning of a result that is in the event; a larger one is in a blob, and left out."""
    value = result.value
    return str(value)[:MESSAGE_CHARS_MAX] if value is not None else "its result is large"


def listed(tolerated: Tolerated) -> tuple[ToleratedCount, ...]:
    """The numbers of tolerated failures as an event records them."""
    return tuple(
        ToleratedCount(setting=setting, kind=kind, failures=count)
        for (setting, kind), count in sorted(tolerated.counts.items())
    )


class ToleranceFold:
    """The tolerated failures of one job: apply its events in order.

    Those of a step that runs again after an amendment are forgotten with its result.
    """

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Tolerance]] = {}

    def apply(self, recorded: Recorded) -> None:
        """Apply the next event of the job."""
        event = recorded.event
        if event.type == "job.amended":
            dropped = dropped_by(event)
            self._found = {
                step: found for step, found in self._found.items() if not is_within(step, dropped)
            }
        for found in tolerances_of(recorded):
            self._found.setdefault(found.step, {})[found.key] = found

    def of_job(self) -> Tolerated:
        """The failures of all steps."""
        return _count(one for found in self._found.values() for one in found.values())

    def inside(self, step: str) -> Tolerated:
        """The failures of a step and of the steps inside it."""
        return _count(
            one
            for name, found in self._found.items()
            if is_within(name, {step})
            for one in found.values()
        )

    def by_step(self) -> Mapping[str, Tolerated]:
        """The failures of each step that has any; those of the steps inside it are not in it."""
        return {step: _count(found.values()) for step, found in self._found.items()}


def _count(found: Iterable[Tolerance]) -> Tolerated:
    counted = Tolerated()
    for one in found:
        counted.add(one.setting, one.kind, one.failures)
    return counted
