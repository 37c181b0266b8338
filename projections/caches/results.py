"""Finds the results of steps: by cache key in the whole ledger, and those of an amended job's items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

from orc.ledger import LedgerReader
from orc.ledger.definition import CacheScope
from orc.ledger.digest import Digest
from orc.ledger.errors import CorruptLedger
from orc.ledger.events import FileRef, FileWritten, Payload, Recorded, StepSucceeded
from orc.ledger.file_owners import file_of
from orc.ledger.transport.imported import UNTRUSTED_JOBS
from orc.ledger.values import CachedResult
from orc.projections.caches.items import ItemResults
from orc.projections.caches.result_fold import named_blobs, result_of

_CANDIDATES_MAX = 5
_DONE = (
    "SELECT job_id, result_version FROM attempts WHERE cache_key = ? AND status = 'succeeded' "
    f"AND (? OR job_id = ?) AND job_id NOT IN ({UNTRUSTED_JOBS}) ORDER BY attempts.rowid DESC LIMIT ?"
)


class ResultCache:
    """The result cache of one job. Newer results come first."""

    def __init__(self, ledger: LedgerReader, job_id: str) -> None:
        self._ledger = ledger
        self._job_id = job_id
        self._items: dict[str, ItemResults] = {}

    def find(self, key: Digest, *, scope: CacheScope) -> CachedResult | None:
        """A result with that cache key whose blobs are all in the ledger; None if there is none."""
        rows = self._ledger.connection.execute(
            _DONE, (key, scope == "ledger", self._job_id, _CANDIDATES_MAX)
        ).fetchall()
        for job_id, version in rows:
            found = self._read(job_id, version)
            if found is not None and all(map(self._ledger.knows_blob, named_blobs(found))):
                return found
        return None

    def find_item(
        self, step: str, item: str, value: Any, read: Callable[[Payload], Any]
    ) -> CachedResult | None:
        """The result that an item of the step had before an amendment, if it has the same value."""
        return self._items_of(step).find(item, value, read)

    def find_inside(self, root: str, step: str) -> tuple[tuple[str, int], CachedResult] | None:
        """The result of a step in an item of `root` before an amendment, or before the fork.

        With the job that had it, and the version before which it did.
        """
        known = self._items_of(root).before(step)
        return None if known is None else ((known.job_id, known.version), known.result)

    def events_before(self, moment: tuple[str, int]) -> Iterator[Recorded]:
        """The events of that job before that version."""
        job_id, version = moment
        stream = self._ledger.read_stream(job_id)
        return takewhile(lambda recorded: recorded.version < version, stream)

    def read(self, payload: Payload) -> Any:
        """The value of a payload. Raises LedgerError."""
        return self._ledger.read_payload(payload)

    def _items_of(self, step: str) -> ItemResults:
        if step not in self._items:
            self._items[step] = ItemResults(self._ledger, self._job_id, step)
        return self._items[step]

    def _read(self, job_id: str, version: int) -> CachedResult | None:
        try:
            recorded = self._ledger.read_event(job_id, version)
            if not isinstance(recorded.event, StepSucceeded):
                return None
            return result_of(recorded, recorded.event, self._files_before(recorded))
        except CorruptLedger:
            return None

    def _files_before(self, recorded: Recorded) -> tuple[FileRef, ...]:
        """The files of an attempt: their events come just before its end, in the same commit."""
        found: list[FileRef] = []
        for version in range(recorded.version - 1, 0, -1):
            event = self._ledger.read_event(recorded.job_id, version).event
            if not isinstance(event, FileWritten):
                break
            found.append(file_of(event))
        return tuple(reversed(found))
