"""The results that items of a fan-out had before an amendment, or before a fork, kept them.

An amendment with `kept_items` names the steps in whose items results are kept where the work is the
same. Any other amendment that resets such a step drops what its items had before. A fork with
`kept_items` starts with the results that the items had in the job that was forked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger import LedgerReader
from orc.ledger.events import JobAmended, JobSubmitted, Payload, Recorded, StepExpanded
from orc.ledger.file_owners import dropped_by
from orc.ledger.step_names import is_within
from orc.ledger.values import CachedResult
from orc.projections.caches.result_fold import ResultFold, named_blobs


class KnownItem(Struct, frozen=True):
    """The result of a step in an item of the job before its event `version`: an amendment, or the fork.

    An item itself has a value, number `place` of the list `values`, if a result with the same value
    is still that of the item.
    """

    job_id: str
    version: int
    result: CachedResult
    values: Payload | None = None
    place: int = 0


class ItemResults:
    """The results in the items of one step, at the last amendment that kept them, or at the fork."""

    def __init__(self, ledger: LedgerReader, job_id: str, step: str) -> None:
        self._ledger = ledger
        self._known = _collect(ledger, job_id, step)
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


def _collect(ledger: LedgerReader, job_id: str, step: str) -> dict[str, KnownItem]:
    fold = _KnownFold(job_id, step)
    for recorded in ledger.read_stream(job_id):
        event = recorded.event
        if isinstance(event, JobSubmitted) and step in (event.kept_items or ()):
            fold.known = _in_parent(ledger, event, step)
        fold.apply(recorded)
    return fold.known


def _in_parent(ledger: LedgerReader, event: JobSubmitted, step: str) -> dict[str, KnownItem]:
    """What the items had in the job that was forked, when it was."""
    if event.forked_from is None or event.forked_at is None:
        return {}
    fold = _KnownFold(event.forked_from, step)
    for recorded in ledger.read_stream(event.forked_from):
        if recorded.version > event.forked_at:
            break
        fold.apply(recorded)
    fold.keep(event.forked_at + 1)
    return fold.known


class _KnownFold:
    """Folds the events of a job to what the items of one step had before its last amendment."""

    def __init__(self, job_id: str, step: str) -> None:
        self._job_id, self._step = job_id, step
        self._fold = ResultFold()
        self._values: dict[str, tuple[Payload, int]] = {}
        self.known: dict[str, KnownItem] = {}

    def apply(self, recorded: Recorded) -> None:
        """Apply the next event."""
        event = recorded.event
        if isinstance(event, JobAmended) and is_within(self._step, dropped_by(event)):
            if self._step in (event.kept_items or ()):
                self.keep(recorded.version)
            else:
                self.known.clear()
            self._values.clear()
        self._fold.apply(recorded)
        if (
            isinstance(event, StepExpanded)
            and event.step == self._step
            and event.values is not None
        ):
            self._values |= {
                name: (event.values, place) for place, name in enumerate(event.children)
            }

    def keep(self, version: int) -> None:
        """Know what the items have before the event `version`.

        Of what they had before an earlier one the values do not count any more: since then the steps
        that an item needs may have run again.
        """
        self.known = {name: replace(one, values=None) for name, one in self.known.items()}
        for name, result in self._fold.results(within=self._step).items():
            value, place = self._values.get(name, (None, 0))
            self.known[name] = KnownItem(self._job_id, version, result, value, place)
