"""The one place that puts the parts together: ledger, scheduler, providers, projections.

Free of typer and of the terminal: the command line and `orc.py` both stand on it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

from orc.cli.errors import UsageProblem
from orc.cli.jobs.amend import Amendment
from orc.cli.jobs.budgets import parse_raise
from orc.cli.jobs.folders import folder_for
from orc.cli.jobs.own import (
    Ended,
    Listener,
    Ownership,
    check_runs_dir,
    deliver_files,
    load_state,
    opening_of,
    run_folder,
)
from orc.cli.jobs.prices import find_own_prices, read_prices
from orc.cli.jobs.recordings import check_target, write_recording
from orc.cli.jobs.removed import refuse_removed
from orc.cli.jobs.secrets import protect, steps_to_run
from orc.cli.jobs.submit import (
    Prepared,
    Submission,
    build_providers,
    check_step_names,
    prepare_run,
    read_replies_for_resume,
    spec_dir_of,
)
from orc.cli.jobs.sync import first_error as first_error
from orc.cli.jobs.sync import run_sync as run_sync
from orc.cli.jobs.trust import refuse_untrusted
from orc.ledger import JobId, Ledger, OwnerLock, open_ledger, pack
from orc.ledger.definition import REPLAY, dump_job
from orc.ledger.digest import clean_text
from orc.ledger.errors import LedgerError
from orc.ledger.events import JobSubmitted, Owner, Recorded
from orc.ledger.kinds import JOB_ENDED
from orc.ledger.locks import owner_identity
from orc.projections import Publisher, ReadModel
from orc.projections.money.prices import PriceTable
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import CancelJob, Command, StartJob, SubmitJob
from orc.scheduler.core.fold.evolve import JobState, evolve, initial_state
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.ids import new_job_id

_CANCEL_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: the ledger, and the folder of run folders, both absolute; and the prices."""

    database: Path
    runs_dir: Path
    prices: PriceTable

    @classmethod
    def find(
        cls,
        *,
        database: Path | None = None,
        runs_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Places:
        """From options, else the environment's ORC_DB, else `runs.db` and `runs` here.

        Raises what `read_prices` raises for a broken table.
        """
        environment = os.environ if environment is None else environment
        path = (database or Path(environment.get("ORC_DB") or "runs.db")).absolute()
        prices = read_prices(find_own_prices(path, environment))
        return cls(path, (runs_dir or path.parent / "runs").absolute(), prices)


def open_for_writing(places: Places, *, create: bool = False) -> Ledger:
    """The ledger, with the read model kept. Raises LedgerError."""
    return open_ledger(places.database, projector=ReadModel(places.prices), create=create)


def submit(
    ledger: Ledger, prepared: Prepared, *, job_id: JobId, places: Places, version: str
) -> JobState:
    """Make the job durable, with everything that a resume will need. Raises LedgerError."""
    definition = prepared.definition
    spec, spec_blob = pack(dump_job(definition))
    source, source_blob = pack(prepared.spec.text)
    inputs, inputs_blob = pack(definition.inputs)
    replies, replies_blob = (None, None) if prepared.replies is None else pack(prepared.replies)
    event = JobSubmitted(
        project=definition.project,
        spec=spec,
        source=source,
        source_name=clean_text(prepared.spec.source_name),
        spec_dir=clean_text(str(spec_dir_of(prepared.submission))),
        submit_dir=clean_text(os.getcwd()),
        runs_dir=clean_text(str(places.runs_dir)),
        inputs=inputs,
        replies=replies,
        orc_version=version,
    )
    state = initial_state(definition, build_graph(definition.steps))
    found = (spec_blob, source_blob, inputs_blob, replies_blob)
    blobs = [blob for blob in found if blob is not None]
    blobs += prepared.files.contents.values()
    append_command(ledger, job_id, state, SubmitJob(event), blobs=blobs)
    return state


async def run(
    submission: Submission,
    *,
    places: Places,
    environment: Mapping[str, str],
    version: str,
    listener: Listener | None = None,
    force: bool = False,
    record: Path | None = None,
) -> Ended:
    """Submit a spec and run the job to its end; its replies go to the file `record`.

    Raises what `prepare_run` and `submit` raise.
    """
    if record is not None:
        check_target(record, force=force)
    prepared = prepare_run(submission, environment)
    providers = prepared.providers
    job_id = new_job_id()
    with open_for_writing(places, create=True) as ledger:
        ledger.mask = prepared.mask
        check_runs_dir(places.runs_dir)
        # Owned before it exists, so that no one else can take it up.
        lock = OwnerLock(places.database, job_id)
        lock.acquire()
        try:
            state = submit(ledger, prepared, job_id=job_id, places=places, version=version)
            owner = Owner.model_validate(owner_identity())
            opening = StartJob(owner, only=submission.until or None)
            folder = run_folder(state, job_id, places.runs_dir)
            run_one = Ownership(
                ledger,
                job_id,
                state,
                folder,
                providers,
                environment,
                listener,
                prices=places.prices,
            )
            try:
                return await run_one.to_the_end(opening, force=force)
            finally:
                # However it ended: what was paid for is worth keeping.
                if record is not None:
                    write_recording(ledger, job_id, record)
        finally:
            lock.release()


async def resume(
    name: str,
    *,
    places: Places,
    environment: Mapping[str, str],
    provider: str | None = None,
    replies: Path | None = None,
    timeout_s: float | None = None,
    budget: str | None = None,
    listener: Listener | None = None,
    force: bool = False,
    amendment: Amendment | None = None,
    only: tuple[str, ...] = (),
    trust: bool = False,
) -> Ended:
    """Go on with a job from its last event; a succeeded one is left as it is, unless it is amended.

    `only` are the steps to run, with what they need; `trust` lets the commands of others run.
    Raises NoSuchJob, OwnedElsewhere, UsageProblem, LedgerError.
    """
    if provider not in (None, REPLAY):
        raise UsageProblem(
            "a resumed job keeps its providers; only --provider replay can replace them"
        )
    with open_for_writing(places) as ledger:
        job_id = ledger.find_job(name)
        refuse_untrusted(ledger, job_id, trust=trust)
        lock = OwnerLock(places.database, job_id)
        lock.acquire()
        try:
            state = load_state(ledger, job_id)
            if amendment is not None:
                state = amendment.apply(ledger, job_id, state)
            check_step_names("--only", only, state.steps)
            folder = folder_for(ledger, state, job_id, places.runs_dir)
            if state.status == "succeeded":
                publisher = Publisher(ledger, job_id, folder, prices=places.prices)
                publisher.sweep()
                publisher.publish()
                left = deliver_files(ledger, job_id, state, force=force)
                return Ended(job_id, "succeeded", state, folder, None, left, places.database)
            refuse_removed(ledger, job_id, state)
            protect(ledger, state.definition, environment, steps=steps_to_run(state, only))
            document = ledger.mask.value(
                read_replies_for_resume(ledger, state, provider=provider, replies=replies)
            )
            override = REPLAY if provider == REPLAY else None
            providers = build_providers(
                state.definition, environment, replies=document, override=override
            )
            if budget is not None:
                raised = parse_raise(budget, state)
                append_command(ledger, job_id, state, raised, blobs=[])
            opening = opening_of(ledger, job_id, state, override, document, timeout_s, only or None)
            run_one = Ownership(
                ledger,
                job_id,
                state,
                folder,
                providers,
                environment,
                listener,
                prices=places.prices,
            )
            return await run_one.to_the_end(opening, force=force)
        finally:
            lock.release()


async def cancel(name: str, *, places: Places, reason: str | None = None) -> tuple[JobId, str]:
    """Ask for the end of a job and wait for it; the job's id and its status then.

    Without a live owner the job is cancelled here. Raises NoSuchJob, LedgerError,
    and UsageProblem when the owner has not answered in 30 seconds.
    """
    with open_for_writing(places) as ledger:
        job_id = ledger.find_job(name)
        state = load_state(ledger, job_id)
        if state.status in JOB_ENDED:
            return job_id, state.status
        protect(ledger, state.definition, os.environ, steps=())
        signal_id = ledger.send_signal(
            job_id,
            kind="cancel",
            data={"reason": reason} if reason else {},
            created_at=Clock().recorded_at(),
        )
        deadline = trio.current_time() + _CANCEL_WAIT_S
        while trio.current_time() < deadline:
            lock = OwnerLock(places.database, job_id)
            try:
                lock.acquire(wait_s=0)
            except LedgerError:
                await trio.sleep(0.1)
                continue
            try:
                reason = reason and ledger.mask.text(reason)
                return job_id, _cancel_unowned(ledger, job_id, signal_id, reason, places)
            finally:
                lock.release()
        raise UsageProblem(f"{job_id} is still being ended by its owner; `orc show` tells")


def append_command(
    ledger: Ledger, job_id: JobId, state: JobState, command: Command, *, blobs: list[bytes]
) -> None:
    """Decide on a command outside of a run, and commit its events. Raises LedgerError."""
    at = Clock().recorded_at()
    batch = []
    for event in decide(state, command):
        recorded = Recorded(job_id, state.version + 1, at, event)
        evolve(state, recorded)
        batch.append(recorded)
    ledger.append(batch, blobs=blobs)


def _cancel_unowned(
    ledger: Ledger, job_id: JobId, signal_id: int, reason: str | None, places: Places
) -> str:
    state = load_state(ledger, job_id)
    if state.status in JOB_ENDED:
        return state.status
    append_command(ledger, job_id, state, CancelJob(signal_id, reason, at_once=True), blobs=[])
    folder = folder_for(ledger, state, job_id, places.runs_dir)
    Publisher(ledger, job_id, folder, prices=places.prices).publish()
    return state.status
