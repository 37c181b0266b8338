"""The results that items of a fan-out had before an amendment which did not change the step's work.

An amendment with `kept_items` names the steps in whose items results are kept where the work is the
same. Any other amendment that resets such a step drops what its items had before.
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
    """The result of a step in an item before the amendment at `version`.

    An item itself has a value, number `place` of the list `values`.
    """

    version: int
    result: CachedResult
    values: Payload | None = None
    place: int = 0


class ItemResults:
    """The results in the items of one step, at the last amendment of the job that kept them."""

    def __init__(self, ledger: LedgerReader, job_id: str, step: str) -> None:
        self._ledger = ledger
        self._known = _collect(ledger.read_stream(job_id), step)
        self._read: tuple[Payload | None, Any] = (None, None)

    def find(self, item: str, value: Any, read: Callable[[Payload], Any]) -> CachedResult | None:
        """The result that the item had with this value, if all its blobs are in the ledger."""
        known = self._known.get(item)
        if known is None or known.values is None:
            return None
        if self._read[0] != known.values:
            self._read = (known.values, read(known.values))
        if self._read[1][known.place] != value:
            return None
        return known.result if self._is_there(known) else None

    def before(self, step: str) -> KnownItem | None:
        """The last result of a step inside, if all its blobs are in the ledger."""
        known = self._known.get(step)
        return known if known is not None and self._is_there(known) else None

    def _is_there(self, known: KnownItem) -> bool:
        return all(map(self._ledger.knows_blob, named_blobs(known.result)))


def _collect(stream: Iterable[Recorded], step: str) -> dict[str, KnownItem]:
    fold = ResultFold()
    values: dict[str, tuple[Payload, int]] = {}
    known: dict[str, KnownItem] = {}
    for recorded in stream:
        event = recorded.event
        if isinstance(event, JobAmended) and is_within(step, dropped_by(event)):
            if step in (event.kept_items or ()):
                for name, result in fold.results(within=step).items():
                    value, place = values.get(name, (None, 0))
                    known[name] = KnownItem(recorded.version, result, value, place)
            else:
                known.clear()
            values.clear()
        fold.apply(recorded)
        if isinstance(event, StepExpanded) and event.step == step and event.values is not None:
            values |= {name: (event.values, place) for place, name in enumerate(event.children)}
    return known
