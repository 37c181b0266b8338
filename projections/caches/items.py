"""The results that items of a fan-out had before an amendment which did not change the step's work.

An amendment with `kept_items` names the fan-outs whose items keep their results where their values
are the same. Any other amendment that resets the fan-out drops what its items had before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from orc.ledger import LedgerReader
from orc.ledger.events import JobAmended, Payload, Recorded, StepExpanded
from orc.ledger.file_owners import dropped_by
from orc.ledger.step_names import is_within
from orc.ledger.values import CachedResult
from orc.projections.caches.result_fold import ResultFold, named_blobs


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item's value, which is number `place` of the list `values`, and its result."""

    values: Payload
    place: int
    result: CachedResult


class ItemResults:
    """The results of one fan-out's items, at the last amendment of the job that kept them."""

    def __init__(self, ledger: LedgerReader, job_id: str, step: str) -> None:
        self._ledger = ledger
        self._known = _collect(ledger.read_stream(job_id), step)
        self._read: tuple[Payload | None, Any] = (None, None)

    def find(self, item: str, value: Any, read: Callable[[Payload], Any]) -> CachedResult | None:
        """The result that the item had with this value, if all its blobs are in the ledger."""
        known = self._known.get(item)
        if known is None:
            return None
        if self._read[0] != known.values:
            self._read = (known.values, read(known.values))
        if self._read[1][known.place] != value:
            return None
        is_there = all(map(self._ledger.knows_blob, named_blobs(known.result)))
        return known.result if is_there else None


def _collect(stream: Iterable[Recorded], step: str) -> dict[str, KnownItem]:
    fold = ResultFold()
    values: dict[str, tuple[Payload, int]] = {}
    known: dict[str, KnownItem] = {}
    for recorded in stream:
        event = recorded.event
        if isinstance(event, JobAmended) and is_within(step, dropped_by(event)):
            if step in (event.kept_items or ()):
                for name, result in fold.results(within=step).items():
                    if name in values:
                        known[name] = KnownItem(*values[name], result)
            else:
                known.clear()
            values.clear()
        fold.apply(recorded)
        if isinstance(event, StepExpanded) and event.step == step and event.values is not None:
            values |= {name: (event.values, place) for place, name in enumerate(event.children)}
    return known
