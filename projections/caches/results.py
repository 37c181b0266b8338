"""Finds the results of steps: by cache key in the whole ledger, or all results of one job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from orc.ledger import LedgerReader
from orc.ledger.digest import Digest
from orc.ledger.errors import CorruptLedger
from orc.ledger.events import FileRef, FileWritten, JobAmended, Recorded, StepReused, StepSucceeded
from orc.ledger.file_owners import dropped_by, file_of
from orc.ledger.gathered import parts_of
from orc.ledger.step_names import is_within
from orc.ledger.transport.imported import UNTRUSTED_JOBS
from orc.ledger.values import CachedResult
from orc.projections.folds.owned_files import OwnedFiles
from orc.projections.folds.tolerated import ToleranceFold

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

    def find(self, key: Digest, *, scope: Literal["off", "job", "ledger"]) -> CachedResult | None:
        """A result with that cache key whose blobs are all in the ledger; None if there is none."""
        rows = self._ledger.connection.execute(
            _DONE, (key, scope == "ledger", self._job_id, _CANDIDATES_MAX)
        ).fetchall()
        for job_id, version in rows:
            found = self._read(job_id, version)
            if found is not None and all(map(self._ledger.knows_blob, named_blobs(found))):
                return found
        return None

    def _read(self, job_id: str, version: int) -> CachedResult | None:
        try:
            recorded = self._ledger.read_event(job_id, version)
            if not isinstance(recorded.event, StepSucceeded):
                return None
            return _result(recorded, recorded.event, self._files_before(recorded))
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


def collect_results(stream: Iterable[Recorded]) -> dict[str, CachedResult]:
    """The results of a job's steps at the end of its stream, by step.

    The files of items, rounds and members count to their outer step too.
    """
    owned, tolerated = OwnedFiles(), ToleranceFold()
    found: dict[str, CachedResult] = {}
    for recorded in stream:
        owned.apply(recorded)
        tolerated.apply(recorded)
        match event := recorded.event:
            case StepSucceeded():
                found[event.step] = _result(recorded, event, ())
            case StepReused():
                fields = {name: getattr(event, name) for name in CachedResult.model_fields}
                found[event.step] = CachedResult(**fields)
            case JobAmended():
                named = dropped_by(event)
                found = {step: one for step, one in found.items() if not is_within(step, named)}
            case _:
                pass
    results = {}
    for step, one in found.items():
        files = tuple(owned_file.file for owned_file in owned.outputs.inside(step))
        folders = tuple(owned.outputs.folders_inside(step)) or None
        counts = tolerated.inside(step).listed() or None
        changes = {"files": files, "folders": folders, "tolerated": counts}
        results[step] = one.model_copy(update=changes)
    return results


def named_blobs(result: CachedResult) -> Iterator[Digest]:
    """The digests of the blobs of a result."""
    for payload in (result.output, result.log):
        for part in () if payload is None else parts_of(payload):
            if part.sha256 is not None:
                yield part.sha256
    for file in (*result.files, *(result.artifacts or ())):
        yield file.sha256


def _result(recorded: Recorded, event: StepSucceeded, files: tuple[FileRef, ...]) -> CachedResult:
    return CachedResult(
        from_job=recorded.job_id,
        from_step=event.step,
        version=recorded.version,
        output=event.output,
        files=files,
        folders=event.folders,
        artifacts=event.artifacts,
        log=event.log,
        warning=event.warning,
    )
