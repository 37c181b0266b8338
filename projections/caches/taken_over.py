"""What a fork takes over of a step: its result, and the items, rounds and members inside it.

The fork's stream gets the expansion of the step and the end of each step inside, so that templates,
scores and readers see them there as they see those that the job itself ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from msgspec.structs import replace

from orc.ledger import LedgerReader
from orc.ledger.digest import Digest
from orc.ledger.events import (
    JobAmended,
    JobSubmitted,
    Payload,
    Recorded,
    StepExpanded,
    StepFailed,
    StepReused,
    StepSkipped,
)
from orc.ledger.file_owners import dropped_by
from orc.ledger.gathered import parts_of
from orc.ledger.step_names import is_within
from orc.ledger.values import CachedResult
from orc.projections.caches.result_fold import ResultFold, named_blobs

TakenEvent = StepExpanded | StepReused | StepFailed | StepSkipped


class EndedSteps:
    """The steps of one job that have ended, with those inside them, by a fold of its events."""

    def __init__(self, stream: Iterable[Recorded]) -> None:
        fold = ResultFold()
        self._expansions: dict[str, list[StepExpanded]] = {}
        self._ends: dict[str, StepFailed | StepSkipped] = {}
        for recorded in stream:
            fold.apply(recorded)
            self._apply(recorded)
        self.results = fold.results()
        self._alone = fold.results_alone()

    def taken_over(self, step: str, ledger: LedgerReader) -> list[TakenEvent]:
        """The events with which a fork takes over a step that has a result.

        If bytes of a step inside were removed from the ledger, the result comes without them.
        """
        inside = list(self._inside(step))
        if not all(map(ledger.knows_blob, _blobs(inside))):
            inside = []
        return [*inside, _reused(step, (self._alone if inside else self.results)[step])]

    def _apply(self, recorded: Recorded) -> None:
        match event := recorded.event:
            case StepExpanded():
                self._expansions.setdefault(event.step, []).append(event)
            case StepFailed() | StepSkipped():
                self._ends[event.step] = event
            case JobAmended():
                named = dropped_by(event)
                for found in (self._expansions, self._ends):
                    for name in [name for name in found if is_within(name, named)]:
                        del found[name]
            case _:
                pass

    def _inside(self, step: str) -> Iterator[TakenEvent]:
        for expansion in self._expansions.get(step, ()):
            yield replace(expansion, attempt=0)
            for child in expansion.children:
                yield from self._inside(child)
                if child in self._alone:
                    yield _reused(child, self._alone[child])
                elif child in self._ends:
                    yield _as_taken(self._ends[child])


def taken_over_events(stream: Iterable[Recorded]) -> list[TakenEvent]:
    """The events with which a fork began, without those of steps that an amendment reset."""
    found: list[TakenEvent] = []
    is_begun = False
    for recorded in stream:
        event = recorded.event
        if isinstance(event, JobAmended):
            named = dropped_by(event)
            found = [each for each in found if not is_within(each.step, named)]
        elif not is_begun and isinstance(event, get_args(TakenEvent)):
            assert isinstance(event, TakenEvent)
            found.append(event)
        elif not isinstance(event, JobSubmitted):
            is_begun = True
    return found


def _reused(step: str, result: CachedResult) -> StepReused:
    fields = {name: getattr(result, name) for name in CachedResult.__struct_fields__}
    return StepReused(step=step, reason="fork", **fields)


def _as_taken(end: StepFailed | StepSkipped) -> StepFailed | StepSkipped:
    """The end of a step inside; of a failure only what it says, and no attempt of the fork."""
    if isinstance(end, StepSkipped):
        return end
    return StepFailed(
        step=end.step,
        attempt=0,
        kind=end.kind,
        message=end.message,
        duration_s=0.0,
        tolerated=end.tolerated,
    )


def _blobs(events: Iterable[TakenEvent]) -> Iterator[Digest]:
    for event in events:
        if isinstance(event, StepReused):
            fields = {name: getattr(event, name) for name in CachedResult.__struct_fields__}
            yield from named_blobs(CachedResult(**fields))
        elif isinstance(event, StepExpanded) and event.values is not None:
            yield from _digests(event.values)


def _digests(payload: Payload) -> Iterator[Digest]:
    for part in parts_of(payload):
        if part.sha256 is not None:
            yield part.sha256
