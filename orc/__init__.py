"""The Python API of orc.

    import orc

    job = orc.run("examples/tiny_spec.yaml", provider=REPLAY)
    print(job.status, job.outputs["qa"]["score"], job.files)

Each function has an asynchronous twin for trio: `run_async`, `resume_async`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orc.cli.jobs.own import Ended
    from orc.cli.jobs.submit import Submission
    from orc.ledger import Ledger
    from orc.ledger.events import Failure
    from orc.scheduler.core.spec.model import JobSpec as JobSpec

__all__ = [
    "Job",
    "JobSpec",
    "load_spec",
    "open_ledger",
    "resume",
    "resume_async",
    "run",
    "run_async",
]


@dataclass(frozen=True, slots=True)
class Job:
    """A job that has ended or stopped.

    `status` is succeeded, failed, cancelled or interrupted. `outputs` has each
    succeeded step's output by its id; `files` the paths in the run folder of
    what steps wrote, by their path under `outputs/`; `artifacts` what they left in
    $ORC_ARTIFACTS, by `step/path`. `failures` have `step`, `kind` and `message`.
    """

    job_id: str
    status: str
    outputs: Mapping[str, Any]
    files: Mapping[str, Path]
    artifacts: Mapping[str, Path]
    failures: tuple[Failure, ...]
    folder: Path


def load_spec(path: str | Path) -> JobSpec:
    """The checked spec in a file. Raises SpecError with every problem found."""
    from orc.cli.jobs.spec_files import SpecFiles
    from orc.scheduler.core.spec.parse import parse_spec

    files = SpecFiles(Path(path).absolute().parent)
    text = Path(path).read_text("utf-8")
    return parse_spec(text, source_name=str(path), read_text=files.read_text).job_with_steps()


def run(
    spec: JobSpec | str | Path,
    *,
    db: str | Path | None = None,
    runs_dir: str | Path | None = None,
    provider: str | None = None,
    model: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    replies: str | Path | None = None,
) -> Job:
    """Submit a spec, given as one or as a file's path, and run the job to its end.

    The ledger is `db`, else $ORC_DB, else `runs.db` in the current folder. A
    failed job is returned, not raised. Raises SpecError, and the errors of
    `orc.ledger.errors`.
    """
    from orc.cli.jobs import wiring

    submission = _submission(spec, provider, model, inputs, replies)
    return _job(wiring.run_sync(wiring.run, submission, **_surroundings(db, runs_dir)))


async def run_async(
    spec: JobSpec | str | Path,
    *,
    db: str | Path | None = None,
    runs_dir: str | Path | None = None,
    provider: str | None = None,
    model: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    replies: str | Path | None = None,
) -> Job:
    """See `run`; under trio. Errors may come in an ExceptionGroup."""
    from orc.cli.jobs import wiring

    submission = _submission(spec, provider, model, inputs, replies)
    return _job(await wiring.run(submission, **_surroundings(db, runs_dir)))


def resume(job: str = "latest", *, db: str | Path | None = None, trust: bool = False) -> Job:
    """Go on with a job by its id, a part of it, or `latest`.

    `trust` runs the commands of a ledger that somebody else owns or can write to.
    Raises NoSuchJob, and OwnedElsewhere when another process runs it.
    """
    from orc.cli.jobs import wiring

    places = _surroundings(db, None)
    places.pop("version")
    return _job(wiring.run_sync(wiring.resume, job, trust=trust, **places))


async def resume_async(
    job: str = "latest", *, db: str | Path | None = None, trust: bool = False
) -> Job:
    """See `resume`; under trio."""
    from orc.cli.jobs import wiring

    places = _surroundings(db, None)
    places.pop("version")
    return _job(await wiring.resume(job, trust=trust, **places))


def open_ledger(db: str | Path | None = None) -> Ledger:
    """The ledger, to read streams and blobs from; close it, or use it in a `with`.

    Raises NoLedger when there is none.
    """
    from orc.cli.jobs.wiring import Places, open_for_writing

    return open_for_writing(Places.find(database=None if db is None else Path(db)))


def __getattr__(name: str) -> Any:
    if name == "JobSpec":
        from orc.scheduler.core.spec.model import JobSpec

        return JobSpec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _submission(
    spec: JobSpec | str | Path,
    provider: str | None,
    model: str | None,
    inputs: Mapping[str, Any] | None,
    replies: str | Path | None,
) -> Submission:
    from orc.cli.jobs.submit import Submission

    given: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "inputs": inputs or {},
        "replies": None if replies is None else Path(replies),
    }
    if isinstance(spec, str | Path):
        return Submission(path=Path(spec), **given)
    import yaml

    text = yaml.safe_dump(
        spec.model_dump(mode="json", exclude_unset=True, by_alias=True), sort_keys=False
    )
    return Submission(text=text, **given)


def _surroundings(db: str | Path | None, runs_dir: str | Path | None) -> dict[str, Any]:
    from orc.about import version
    from orc.cli.jobs.wiring import Places

    places = Places.find(
        database=None if db is None else Path(db),
        runs_dir=None if runs_dir is None else Path(runs_dir),
    )
    return {"places": places, "environment": os.environ, "version": version()}


def _job(ended: Ended) -> Job:
    outputs = ended.outputs()
    files = {file.path: ended.folder / "outputs" / file.path for file in ended.state.files()}
    artifacts_dir = ended.folder / "artifacts"
    artifacts = {
        str(path.relative_to(artifacts_dir)): path
        for path in sorted(artifacts_dir.rglob("*"))
        if path.is_file()
    }
    return Job(
        job_id=ended.job_id,
        status=ended.status,
        outputs=outputs,
        files=files,
        artifacts=artifacts,
        failures=tuple(ended.failures),
        folder=ended.folder,
    )
