"""The asynchronous functions of the Python API, for programs that use trio.

Each is the asynchronous version of a function in `api.py`, which documents the arguments and the
errors.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import trio
from msgspec import Struct

from orc.about import version
from orc.arguments import checked
from orc.cli.errors import UsageProblem
from orc.cli.jobs.amend import Amendment
from orc.cli.jobs.caller.given_values import plain_inputs
from orc.cli.jobs.caller.spec_dir import check_spec_dir
from orc.cli.jobs.cancel import cancel as cancel_job
from orc.cli.jobs.damage import names_damage
from orc.cli.jobs.decide import Decision, decide
from orc.cli.jobs.fork import Fork
from orc.cli.jobs.fork import fork as fork_job
from orc.cli.jobs.owned_job import Ended
from orc.cli.jobs.places import Places
from orc.cli.jobs.prepare import Submission
from orc.cli.jobs.queue import JOBS_MAX
from orc.cli.jobs.queue.worker import Worked
from orc.cli.jobs.queue.worker import work as work_queue
from orc.cli.jobs.read import Job, read_job
from orc.cli.jobs.replay import replay as replay_job
from orc.cli.jobs.resume import resume as resume_job
from orc.cli.jobs.run import run as run_job
from orc.cli.jobs.sync import first_error, run_sync
from orc.ledger.files.written_paths import written_path
from orc.notebook import progress_listener
from orc.projections.history.recording import ReplayDifference
from orc.scheduler.core.spec.model import JobSpec

Value = TypeVar("Value")


class Replay(Struct, frozen=True):
    """A replay: the id of the original job, the new job, and the differences between the two."""

    original: str
    job: Job
    differences: tuple[ReplayDifference, ...]

    @property
    def is_same(self) -> bool:
        """Whether the two jobs do not differ."""
        return not self.differences


@checked
@names_damage
async def run_async(
    spec: JobSpec | str | Path,
    *,
    db: str | Path | None = None,
    runs_dir: str | Path | None = None,
    provider: str | None = None,
    model: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    replies: str | Path | None = None,
    strict: bool = False,
    until: str | Iterable[str] = (),
    output_dir: str | Path | None = None,
    record: str | Path | None = None,
    force: bool = False,
    keep_work: bool = False,
) -> Job:
    """See `run`; under trio."""
    submission = submission_of(
        spec,
        provider=provider,
        model=model,
        inputs=inputs,
        replies=replies,
        strict=strict,
        until=until,
        output_dir=output_dir,
    )
    places = places_of(db, runs_dir)
    running = run_job(
        submission,
        places=places,
        environment=os.environ,
        listener=progress_listener(places.prices),
        version=version(),
        force=force,
        keep_work=keep_work,
        record=path_of(record),
    )
    return _job(places, await _own_error(running))


@checked
@names_damage
async def work_async(
    *,
    db: str | Path | None = None,
    jobs: int = 1,
    for_s: float | None = None,
    stop_when_empty: bool = False,
    trust: bool = False,
) -> Worked:
    """See `work`; under trio."""
    if not 1 <= jobs <= JOBS_MAX:
        raise UsageProblem(f"jobs={jobs}: a worker runs 1 to {JOBS_MAX} jobs at the same time")
    working = work_queue(
        places=places_of(db, None),
        environment=os.environ,
        jobs=jobs,
        for_s=for_s,
        stop_when_empty=stop_when_empty,
        trust=trust,
    )
    return await _own_error(working)


@checked
@names_damage
async def resume_async(
    job: str = "latest",
    *,
    db: str | Path | None = None,
    provider: str | None = None,
    replies: str | Path | None = None,
    timeout_s: float | None = None,
    budget: str | Iterable[str] | None = None,
    spec: JobSpec | str | Path | None = None,
    inputs: Mapping[str, Any] | None = None,
    only: str | Iterable[str] = (),
    force: bool = False,
    keep_work: bool = False,
    trust: bool = False,
    spec_dir: str | Path | None = None,
) -> Job:
    """See `resume`; under trio."""
    amendment = None
    folder = check_spec_dir(path_of(spec_dir))
    if spec is not None or folder is not None:
        path, text = (None, None) if spec is None else _path_or_text(spec)
        amendment = Amendment(
            os.environ,
            path,
            plain_inputs(inputs or {}),
            (),
            names_of(only),
            text=text,
            spec_dir=folder,
        )
    if inputs and spec is None:
        raise UsageProblem(
            "inputs= changes inputs only together with spec=; add it, or use orc.fork"
        )
    places = places_of(db, None)
    running = resume_job(
        job,
        places=places,
        environment=os.environ,
        listener=progress_listener(places.prices),
        provider=provider,
        replies=path_of(replies),
        timeout_s=timeout_s,
        budget=names_of(budget or ()),
        force=force,
        keep_work=keep_work,
        amendment=amendment,
        only=names_of(only),
        trust=trust,
    )
    return _job(places, await _own_error(running))


@checked
@names_damage
async def rerun_async(
    job: str,
    steps: str | Iterable[str],
    *,
    db: str | Path | None = None,
    replies: str | Path | None = None,
    only: str | Iterable[str] = (),
    force: bool = False,
    keep_work: bool = False,
    trust: bool = False,
    spec_dir: str | Path | None = None,
) -> Job:
    """See `rerun`; under trio."""
    again = names_of(steps)
    folder = check_spec_dir(path_of(spec_dir))
    if not again:
        raise UsageProblem("rerun needs the name of at least one step")
    places = places_of(db, None)
    running = resume_job(
        job,
        places=places,
        environment=os.environ,
        listener=progress_listener(places.prices),
        replies=path_of(replies),
        force=force,
        keep_work=keep_work,
        amendment=Amendment(os.environ, again=again, only=names_of(only), spec_dir=folder),
        only=names_of(only),
        trust=trust,
    )
    return _job(places, await _own_error(running))


@checked
@names_damage
async def fork_async(
    job: str,
    *,
    start: str | None = None,
    changes: Mapping[str, Any] | None = None,
    spec: JobSpec | str | Path | None = None,
    run: bool = True,
    db: str | Path | None = None,
    runs_dir: str | Path | None = None,
    replies: str | Path | None = None,
    force: bool = False,
    keep_work: bool = False,
    trust: bool = False,
    spec_dir: str | Path | None = None,
) -> Job:
    """See `fork`; under trio."""
    path, text = (None, None) if spec is None else _path_or_text(spec)
    folder = check_spec_dir(path_of(spec_dir))
    fork = Fork(
        start, (), path, path_of(replies), changes=changes or {}, text=text, spec_dir=folder
    )
    places = places_of(db, runs_dir)
    running = fork_job(
        job,
        fork,
        places=places,
        environment=os.environ,
        listener=progress_listener(places.prices),
        version=version(),
        run=run,
        force=force,
        keep_work=keep_work,
        trust=trust,
    )
    forked = await _own_error(running)
    return read_job(places, forked.job_id, ended=forked.ended)


@checked
@names_damage
async def replay_async(
    job: str = "latest",
    *,
    db: str | Path | None = None,
    runs_dir: str | Path | None = None,
    trust: bool = False,
    spec_dir: str | Path | None = None,
) -> Replay:
    """See `replay`; under trio."""
    places = places_of(db, runs_dir)
    running = replay_job(
        job,
        places=places,
        environment=os.environ,
        listener=progress_listener(places.prices),
        version=version(),
        trust=trust,
        spec_dir=check_spec_dir(path_of(spec_dir)),
    )
    replayed = await _own_error(running)
    return Replay(replayed.original, _job(places, replayed.ended), replayed.differences)


@checked
@names_damage
async def approve_async(
    job: str,
    step: str,
    *,
    option: str = "approve",
    comment: str | None = None,
    db: str | Path | None = None,
) -> Decision:
    """See `approve`; under trio."""
    return await decide(job, step, option=option, comment=comment, places=places_of(db, None))


@checked
@names_damage
async def reject_async(
    job: str, step: str, *, comment: str | None = None, db: str | Path | None = None
) -> Decision:
    """See `reject`; under trio."""
    return await decide(job, step, option="reject", comment=comment, places=places_of(db, None))


@checked
@names_damage
async def cancel_async(
    job: str, *, reason: str | None = None, db: str | Path | None = None, force: bool = False
) -> Job:
    """See `cancel`; under trio."""
    places = places_of(db, None)
    done = await cancel_job(job, places=places, reason=reason, force=force)
    return read_job(places, done.job_id)


def submission_of(
    spec: JobSpec | str | Path,
    *,
    inputs: Mapping[str, Any] | None = None,
    replies: str | Path | None = None,
    until: str | Iterable[str] = (),
    output_dir: str | Path | None = None,
    **options: Any,
) -> Submission:
    """The submission of a spec (the path of a file, or a model) with options as they are given.

    `options` are other fields of the submission.
    """
    path, text = _path_or_text(spec)
    return Submission(
        path=path,
        text=text,
        inputs=plain_inputs(inputs or {}),
        replies=path_of(replies),
        until=names_of(until),
        output_dir=path_of(output_dir),
        **options,
    )


def places_of(db: str | Path | None, runs_dir: str | Path | None) -> Places:
    """The paths of the ledger and the run folders; see `Places.find`."""
    return Places.find(database=path_of(db), runs_dir=path_of(runs_dir))


def path_of(path: str | Path | None) -> Path | None:
    """The path as a `Path`; None for None."""
    return None if path is None else written_path(path)


def names_of(names: str | Iterable[str]) -> tuple[str, ...]:
    """The names of steps without repetitions; a text is one name."""
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


def _path_or_text(spec: JobSpec | str | Path) -> tuple[Path | None, str | None]:
    if isinstance(spec, str | Path):
        return written_path(spec), None
    from orc.scheduler.core.source.yaml_text import write_yaml

    document = spec.model_dump(mode="json", exclude_unset=True, by_alias=True)
    return None, write_yaml(document)


def _job(places: Places, ended: Ended) -> Job:
    return read_job(places, ended.job_id, ended=ended)


async def _own_error(running: Awaitable[Value]) -> Value:
    """The result of a run. The first error of an exception group is raised instead of the group.

    A group that also contains a cancellation of trio is raised unchanged.
    """
    try:
        return await running
    except ExceptionGroup as group:
        raise first_error(group) from group


def wait(function: Callable[..., Awaitable[Value]], *args: Any, **options: Any) -> Value:
    """Run the asynchronous version to its end. Raises RuntimeError inside a trio run."""
    if trio.lowlevel.in_trio_run():
        name = getattr(function, "__name__", "")
        raise RuntimeError(
            f"orc.{name.removesuffix('_async')} cannot be called inside a trio run; "
            f"use `await orc.{name}(...)`"
        )
    return run_sync(function, *args, **options)
