"""`orc submit`, and the first event of every job, which has everything that a resume needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orc.cli.errors import EnvironmentProblem
from orc.cli.jobs.caller.notices import read_notices
from orc.cli.jobs.caller.providers import build_providers
from orc.cli.jobs.caller.secrets import needed_steps, read_mask, refuse_secrets_in_paths
from orc.cli.jobs.folders import check_runs_dir
from orc.cli.jobs.owned_job import Caller, OwnedJob, own
from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.prepare import (
    Prepared,
    Submission,
    prepare_run,
    refuse_dropped,
    spec_dir_of,
)
from orc.ledger import JobId, pack
from orc.ledger.definition import JobDef, dump_job
from orc.ledger.digest import clean_text
from orc.ledger.events import JobSubmitted, Payload, QueuedRun
from orc.ledger.files.project_places import recorded_place, recorded_target
from orc.ledger.files.written_paths import current_folder
from orc.ledger.secrets.masking import Mask
from orc.scheduler.ids import new_job_id


def submit(
    submission: Submission,
    *,
    places: Places,
    environment: Mapping[str, str],
    version: str,
    force: bool = False,
    runs_here: bool = False,
    on_notice: Callable[[str], None] = lambda text: None,
) -> JobId:
    """Submit a spec to the queue without running it: a worker or `resume` runs it.

    Secrets and keys of providers are read from the environment of the process that runs the job;
    `on_notice` gets what is missing in this one, and a strict submission is refused. So is each one
    with `runs_here`, for a process with this environment that runs the job at once. Raises
    SpecError, UsageProblem, EnvironmentProblem, LedgerError.
    """
    prepared = prepare_run(submission, environment, database=places.database, is_run=runs_here)
    if prepared.chosen:
        on_notice(prepared.chosen)
    for missing in () if runs_here else _missing_here(prepared, environment):
        if submission.strict:
            raise missing
        on_notice(f"{missing}. The worker that runs the job needs it")
    for notice in read_notices(prepared.definition):
        on_notice(notice)
    with open_for_writing(places, environment, create=True) as ledger:
        ledger.widen_mask(prepared.mask)
        check_runs_dir(places.runs_dir)
        with own(ledger, new_job_id(), Caller(places, environment)) as owned:
            queued = QueuedRun(only=submission.until or None, force=force or None)
            submit_owned(owned, prepared, version=version, queued=queued)
            owned.publish_submitted()
            return owned.job_id


def _missing_here(prepared: Prepared, environment: Mapping[str, str]) -> list[EnvironmentProblem]:
    """What a run of the job would lack in this environment: secrets, and keys of providers.

    Raises UsageProblem for a parameter that a provider does not support, if the submission is strict.
    """
    missing = []
    definition, submission = prepared.definition, prepared.submission
    try:
        read_mask(definition, environment, steps=needed_steps(definition, submission.until))
    except EnvironmentProblem as error:
        missing.append(error)
    try:
        providers = build_providers(definition, environment, replies=prepared.replies)
    except EnvironmentProblem as error:
        missing.append(error)
    else:
        if submission.strict:
            refuse_dropped(definition, providers, environment)
    return missing


def submit_owned(
    owned: OwnedJob, prepared: Prepared, *, version: str, queued: QueuedRun | None = None
) -> None:
    """Append the first event of the owned job; `queued` puts it into the queue. Raises LedgerError."""
    definition = with_recorded_places(prepared.definition, owned.ledger.path)
    event, named = submission_of(
        definition,
        text=prepared.text,
        source_name=clean_text(prepared.source_name),
        spec_dir=spec_dir_of(prepared.submission),
        replies=prepared.replies,
        places=owned.caller.places,
        mask=owned.ledger.mask,
        version=version,
        queued=queued,
    )
    stored = prepared.inputs.store(definition, owned.ledger.files)
    contents = prepared.files.contents.values()
    blobs = chain(named, contents, prepared.inputs.blobs(definition))
    owned.create(definition, event, blobs=blobs, stored=stored)


def with_recorded_places(definition: JobDef, database: Path) -> JobDef:
    """The job with its `output_dir` as events record it."""
    if definition.output_dir is None:
        return definition
    here = current_folder() or database.parent
    place = recorded_target(definition.output_dir, database, given_in=here)
    return replace(definition, output_dir=place)


def recorded_inputs(definition: JobDef) -> dict[str, Any]:
    """The inputs as events record them for people: values, and what was read from files."""
    read = {name: found.summary() for name, found in definition.read.items()}
    return {**definition.inputs, **read}


def submission_of(
    definition: JobDef,
    *,
    text: str,
    source_name: str,
    spec_dir: Path,
    replies: Any,
    places: Places,
    mask: Mask,
    version: str,
    forked_from: JobId | None = None,
    forked_at: int | None = None,
    kept_items: tuple[str, ...] = (),
    queued: QueuedRun | None = None,
) -> tuple[JobSubmitted, list[bytes]]:
    """The first event of a job, and the blobs that it refers to.

    Raises UsageProblem for a path that contains a secret.
    """
    database = places.database
    here = current_folder() or database.parent
    named = {
        "the spec's folder": spec_dir,
        "the current folder": here,
        "the folder for run folders": places.runs_dir,
        "the ledger's folder": database.parent,
    }
    refuse_secrets_in_paths(mask, {what: clean_text(str(path)) for what, path in named.items()})
    blobs: list[bytes] = []

    def packed(value: Any) -> Payload:
        payload, blob = pack(value)
        if blob is not None:
            blobs.append(blob)
        return payload

    event = JobSubmitted(
        project=definition.project,
        spec=packed(dump_job(definition)),
        source=packed(text),
        source_name=source_name,
        spec_dir=clean_text(recorded_place(spec_dir, database)),
        submit_dir=clean_text(recorded_place(here, database)),
        runs_dir=clean_text(recorded_target(places.runs_dir, database, given_in=here)),
        ledger_dir=clean_text(str(database.parent)),
        inputs=packed(recorded_inputs(definition)),
        replies=None if replies is None else packed(replies),
        forked_from=forked_from,
        forked_at=forked_at,
        kept_items=kept_items or None,
        queued=queued,
        orc_version=version,
    )
    return event, blobs
