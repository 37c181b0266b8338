"""`orc run`: submits a spec as a job and runs it to its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orc.cli.jobs.folders import check_runs_dir
from orc.cli.jobs.owned_job import Caller, Ended, Listener, own, owner_here
from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.prepare import Submission, prepare_run
from orc.cli.jobs.submit import submit_owned
from orc.scheduler.core.commands import StartJob
from orc.scheduler.ids import new_job_id


async def run(
    submission: Submission,
    *,
    places: Places,
    environment: Mapping[str, str],
    version: str,
    listener: Listener | None = None,
    force: bool = False,
    keep_work: bool = False,
    wait: bool = True,
    record: Path | None = None,
) -> Ended:
    """Submit a spec and run the job to its end; then write its replies to the file `record`.

    Raises SpecError, UsageProblem, EnvironmentProblem, LedgerError.
    """
    if record is not None:
        # Imported here and below, since most runs are not recorded.
        from orc.cli.jobs.caller.recordings import check_target

        check_target(record, force=force)
    prepared = prepare_run(submission, environment, database=places.database)
    caller = Caller(places, environment, listener or Listener(), force, keep_work, wait=wait)
    if prepared.chosen:
        caller.listener.on_notice(prepared.chosen)
    async with caller.connect(prepared.definition) as executors:
        with open_for_writing(places, environment, create=True) as ledger:
            ledger.widen_mask(prepared.mask)
            check_runs_dir(places.runs_dir)
            with own(ledger, new_job_id(), caller) as owned:
                submit_owned(owned, prepared, version=version)
                owned.providers = prepared.providers
                start = StartJob(owner_here(), only=submission.until or None)
                try:
                    return await owned.run(start, executors)
                finally:
                    # Also after a failed or interrupted run, since its replies were paid for.
                    if record is not None:
                        from orc.cli.jobs.caller.recordings import write_recording

                        write_recording(ledger, owned.job_id, record)
