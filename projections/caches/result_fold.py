"""All results of a job's steps, by a fold of its events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from orc.ledger.digest import Digest
from orc.ledger.events import FileRef, JobAmended, Recorded, StepReused, StepSucceeded
from orc.ledger.file_owners import dropped_by
from orc.ledger.gathered import parts_of
from orc.ledger.step_names import is_within
from orc.ledger.values import CachedResult
from orc.projections.folds.owned_files import OwnedFiles
from orc.projections.folds.tolerance_fold import ToleranceFold, listed


class ResultFold:
    """Folds a job's events to the results of its steps."""

    def __init__(self) -> None:
        self._owned, self._tolerated = OwnedFiles(), ToleranceFold()
        self._found: dict[str, CachedResult] = {}

    def apply(self, recorded: Recorded) -> None:
        """Apply the next event."""
        self._owned.apply(recorded)
        self._tolerated.apply(recorded)
        match event := recorded.event:
            case StepSucceeded():
                self._found[event.step] = result_of(recorded, event, ())
            case StepReused():
                fields = {name: getattr(event, name) for name in CachedResult.__struct_fields__}
                self._found[event.step] = CachedResult(**fields)
            case JobAmended():
                named = dropped_by(event)
                self._found = {
                    step: one for step, one in self._found.items() if not is_within(step, named)
                }
            case _:
                pass

    def results(self, *, within: str | None = None) -> dict[str, CachedResult]:
        """The results by step, or those of the steps inside the step `within`.

        The files of items, rounds and members count to their outer step too.
        """
        results = {}
        for step, one in self._found.items():
            if within is not None and not is_within(step, {within}):
                continue
            files = tuple(owned_file.file for owned_file in self._owned.outputs.inside(step))
            folders = tuple(self._owned.outputs.folders_inside(step)) or None
            counts = listed(self._tolerated.inside(step)) or None
            changes = {"files": files, "folders": folders, "tolerated": counts}
            results[step] = replace(one, **changes)
        return results

    def results_alone(self) -> dict[str, CachedResult]:
        """The results by step, each without the files and failures of the steps inside it."""
        counts = self._tolerated.by_step()
        folders: dict[str, list[str]] = {}
        for path, step in self._owned.outputs.folders.items():
            folders.setdefault(step, []).append(path)
        return {
            step: replace(
                one,
                files=tuple(owned.file for owned in self._owned.outputs.of_step(step).values()),
                folders=tuple(folders.get(step, ())) or None,
                tolerated=listed(counts[step]) or None if step in counts else None,
            )
            for step, one in self._found.items()
        }


def collect_results(stream: Iterable[Recorded]) -> dict[str, CachedResult]:
    """The results of a job's steps at the end of its stream, by step."""
    fold = ResultFold()
    for recorded in stream:
        fold.apply(recorded)
    return fold.results()


def named_blobs(result: CachedResult) -> Iterator[Digest]:
    """The digests of the blobs of a result."""
    for payload in (result.output, result.log):
        for part in () if payload is None else parts_of(payload):
            if part.sha256 is not None:
                yield part.sha256
    for file in (*result.files, *(result.artifacts or ())):
        yield file.sha256


def result_of(recorded: Recorded, event: StepSucceeded, files: tuple[FileRef, ...]) -> CachedResult:
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
