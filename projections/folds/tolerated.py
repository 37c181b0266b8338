"""Failures in spite of which a job went on: which setting of the spec let it, how many, of which kind.

Every view that says how many failures were tolerated takes it from here: the tables by
`tolerances_of`, the manifest by `ToleranceFold`, and the words by `Tolerated`. An attempt that is
retried is no tolerated failure, since the next attempt does the same work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orc.ledger.events import (
    CacheHit,
    JobAmended,
    LlmRequested,
    Payload,
    Recorded,
    StepFailed,
    StepReused,
    StepSucceeded,
    StepSwitched,
    ToleratedCount,
    ToolReturned,
)
from orc.ledger.file_owners import dropped_by
from orc.ledger.kinds import UNTIL_STILL_FALSE
from orc.ledger.step_names import is_within
from orc.ledger.wording import count_text, number_text

SETTINGS: dict[str, Callable[[int], str]] = {
    "continue_on_error": lambda n: f"{count_text(n, 'step')} failed, and the job continued",
    "on_exhausted": lambda n: (
        f"{count_text(n, 'loop')} ended after {'its' if n == 1 else 'their'} last round, "
        "with `until` still false"
    ),
    "fallback": lambda n: f"{count_text(n, 'switch', 'switches')} to another model",
    "tools": lambda n: f"{count_text(n, 'error')} of tools went back to the model",
    "repair": lambda n: f"{count_text(n, 'unusable reply', 'unusable replies')} asked for again",
}
"""What happened so many times, by the key of the spec that tolerates it, in the order of telling."""

_OF_MANY_KINDS = ("continue_on_error", "fallback")
MESSAGE_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A tolerated failure of a step; in a result of another job, `failures` of them.

    `kind` is the kind of the failure (docs/events.md), or `circuit` for a model that was not asked,
    `tool` for an error of a tool, `until` for a condition that never held. `key` tells it from the
    step's others; a request that is sent again has the same.
    """

    step: str
    setting: str
    kind: str
    message: str
    key: str
    failures: int = 1


def tolerances_of(recorded: Recorded) -> Iterator[Tolerance]:
    """The failures that the event records and that do not end the job; none for most events."""
    event = recorded.event
    if isinstance(event, StepReused):
        for number, one in enumerate(event.tolerated or ()):
            key, message = f"{recorded.version}.{number}", f"in the result from {event.from_job}"
            yield Tolerance(event.step, one.setting, one.kind, message, key, one.failures)
        return
    found = _tolerance_of(recorded)
    if found is not None:
        yield found


def _tolerance_of(recorded: Recorded) -> Tolerance | None:
    event, key = recorded.event, str(recorded.version)
    match event:
        case StepFailed() if event.tolerated:
            return Tolerance(event.step, "continue_on_error", event.kind, event.message, key)
        case StepSucceeded() if (event.warning or "").startswith(UNTIL_STILL_FALSE):
            return Tolerance(event.step, "on_exhausted", "until", str(event.warning), key)
        case StepSwitched():
            kind, found, _ = event.message.partition(": ")
            kind = kind if found else "circuit"
            return Tolerance(event.step, "fallback", kind, event.message, key)
        case ToolReturned() if event.is_error:
            message = f"{event.tool}: {_beginning(event.result)}"
            return Tolerance(event.step, "tools", "tool", message, key)
        case LlmRequested() | CacheHit() if event.corrects is not None:
            key = event.request_sha256[:16]
            return Tolerance(event.step, "repair", "schema", event.corrects, key)
    return None


def _beginning(result: Payload) -> str:
    """The beginning of a result that is in the event; a larger one is in a blob, and left out."""
    value = result.value
    return str(value)[:MESSAGE_CHARS_MAX] if value is not None else "its result is large"


@dataclass(slots=True)
class Tolerated:
    """How many failures were tolerated, by setting and kind."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, setting: str, kind: str, count: int = 1) -> None:
        """Count failures of one kind that one setting tolerated."""
        self.counts[setting, kind] += count

    @property
    def total(self) -> int:
        """The number of all tolerated failures."""
        return self.counts.total()

    def summary(self) -> str:
        """`1 tolerated failure`, `28 tolerated failures`; empty if there are none."""
        return count_text(self.total, "tolerated failure") if self.total else ""

    def lines(self) -> Iterator[str]:
        """For each setting what happened, and the kinds of the failures with their numbers."""
        for setting, said in SETTINGS.items():
            kinds = self._kinds(setting)
            if not kinds:
                continue
            listed = ", ".join(f"{number_text(count)} {kind}" for kind, count in kinds.items())
            of_kinds = f": {listed}" if setting in _OF_MANY_KINDS else ""
            yield f"{said(sum(kinds.values()))} ({setting}){of_kinds}"

    def text(self) -> str:
        """The lines as one."""
        return "; ".join(self.lines())

    def listed(self) -> tuple[ToleratedCount, ...]:
        """As an event records them."""
        return tuple(
            ToleratedCount(setting=setting, kind=kind, failures=count)
            for (setting, kind), count in sorted(self.counts.items())
        )

    def value(self) -> dict[str, Any]:
        """As a JSON value: `total`, and the numbers by kind under each setting."""
        by_setting = {setting: self._kinds(setting) for setting in SETTINGS}
        return {
            "total": self.total,
            "by_setting": {setting: kinds for setting, kinds in by_setting.items() if kinds},
        }

    def _kinds(self, setting: str) -> dict[str, int]:
        """The numbers by kind, the largest first."""
        found = [(kind, count) for (of, kind), count in self.counts.items() if of == setting]
        return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))


class ToleranceFold:
    """The tolerated failures of one job: apply its events in order.

    Those of a step that runs again after an amendment are forgotten with its result.
    """

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Tolerance]] = {}

    def apply(self, recorded: Recorded) -> None:
        """Apply the next event of the job."""
        event = recorded.event
        if isinstance(event, JobAmended):
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
