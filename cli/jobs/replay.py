"""`orc replay`: runs a job again; the replies in its own ledger answer every model call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.secrets import hide_secrets, refuse_secrets_in_paths
from orc.cli.jobs.caller.spec_dir import require_spec_folder
from orc.cli.jobs.caller.trust import refuse_untrusted
from orc.cli.jobs.folders import check_runs_dir
from orc.cli.jobs.owned_job import Caller, Ended, Listener, OwnedJob, own, owner_here
from orc.cli.jobs.places import Places, open_to_continue
from orc.cli.jobs.state import load_state, take_over
from orc.ledger import JobId, Ledger, Payload, pack
from orc.ledger.command_lines import quoted_command
from orc.ledger.definition import REPLAY, JobDef, StepDef, dump_job
from orc.ledger.digest import clean_text
from orc.ledger.errors import RemovedBlob
from orc.ledger.events import ApprovalDecided
from orc.ledger.files.project_places import recorded_place, recorded_target, spec_folder
from orc.ledger.files.written_paths import current_folder
from orc.ledger.kinds import JOB_AT_REST
from orc.projections.caches.taken_over import TakenEvent, taken_over_events
from orc.projections.history.recording import ReplayDifference, build_recording, find_differences
from orc.scheduler.core.commands import DecideApproval, ResumeJob, StartJob
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.ids import new_job_id


class Replayed(Struct, frozen=True):
    """A job, the end of its replay, and the differences between the two."""

    original: JobId
    ended: Ended
    differences: tuple[ReplayDifference, ...]


async def replay(
    name: str,
    *,
    places: Places,
    environment: Mapping[str, str],
    version: str,
    listener: Listener | None = None,
    trust: bool = False,
    spec_dir: Path | None = None,
) -> Replayed:
    """Run the job again as a new job in the same ledger, and compare the two.

    `spec_dir` is where the folder of the spec is now.
    No model is called. Commands and functions run again, in the new job's run folder. Nothing is
    delivered to `output_dir`. Raises NoSuchJob, UsageProblem, EnvironmentProblem, LedgerError.
    """
    with open_to_continue(places, environment, trust=trust) as ledger:
        original = ledger.find_job(name)
        refuse_untrusted(ledger, original, trust=trust)
        before = load_state(ledger, original)
        if before.status not in JOB_AT_REST:
            raise UsageProblem(
                f"{original} has not ended, so that it cannot be replayed; first give "
                f"{quoted_command('resume', original)}"
            )
        taken = taken_over_events(ledger.read_stream(original))
        steps = {step.id for step in before.definition.steps} - {event.step for event in taken}
        assert before.submitted is not None
        folder = spec_dir or spec_folder(before.submitted, ledger.path)
        require_spec_folder(folder, before.definition, steps=steps)
        hide_secrets(ledger, before.definition, environment, steps=steps)
        check_runs_dir(places.runs_dir)
        caller = Caller(places, environment, listener or Listener())
        async with caller.connect(before.definition) as executors:
            with own(ledger, new_job_id(), caller) as owned:
                owned.build_providers(
                    replies=_submit(owned, original, before, taken, version, folder)
                )
                ended = await owned.run(StartJob(owner_here(), _only(before)), executors)
                decisions = _recorded_decisions(ledger, original)
                while _decide_as_before(owned, decisions):
                    ended = await owned.run(ResumeJob(owner_here()), executors)
        # A value that the replay gave again is there again; any other one differs.
        differences = find_differences(
            ledger.read_stream(original),
            ledger.read_stream(ended.job_id),
            lambda payload: _read_or_tell(ledger, payload),
        )
        return Replayed(original, ended, tuple(differences))


def _read_or_tell(ledger: Ledger, payload: Payload | None) -> Any:
    try:
        return ledger.read_payload(payload)
    except RemovedBlob as error:
        return str(error)


def _submit(
    owned: OwnedJob,
    original: JobId,
    before: JobState,
    taken: list[TakenEvent],
    version: str,
    folder: Path,
) -> dict[str, Any]:
    """Append the replay's first events, with the results that the job was forked with; its replies."""
    ledger = owned.ledger
    document = build_recording(ledger.read_stream(original), ledger.read_payload)
    definition = on_recorded_replies(before.definition)
    spec, spec_blob = pack(dump_job(definition))
    try:
        replies, replies_blob = pack(document)
    except ValueError as error:
        raise UsageProblem(
            f"{original}: its replies cannot be recorded together: {error}; replay another job"
        ) from None
    assert before.submitted is not None
    runs_dir = owned.caller.places.runs_dir
    refuse_secrets_in_paths(ledger.mask, {"the folder for run folders": str(runs_dir)})
    here = current_folder() or ledger.path.parent
    event = replace(
        before.submitted,
        spec=spec,
        replies=replies,
        replay_of=original,
        spec_dir=clean_text(recorded_place(folder, ledger.path)),
        runs_dir=recorded_target(runs_dir, ledger.path, given_in=here),
        ledger_dir=str(ledger.path.parent),
        orc_version=version,
    )
    blobs = [blob for blob in (spec_blob, replies_blob) if blob is not None]
    # A fork never ran the steps whose results it reused: the ledger has no replies for them here.
    owned.create(definition, event, *take_over(taken), blobs=blobs)
    return document


def _only(before: JobState) -> tuple[str, ...] | None:
    """The steps that the job ran when it stopped after a part of its steps (`--until`, `--only`)."""
    if before.only is None or before.status != "stopped":
        return None
    return tuple(step.id for step in before.definition.steps if step.id in before.only)


def _recorded_decisions(ledger: Ledger, original: JobId) -> dict[str, ApprovalDecided]:
    """The last decision of each step."""
    return {
        recorded.event.step: recorded.event
        for recorded in ledger.read_stream(original)
        if isinstance(recorded.event, ApprovalDecided)
    }


def _decide_as_before(owned: OwnedJob, decisions: Mapping[str, ApprovalDecided]) -> bool:
    """Decide for all waiting steps that have a recorded decision; whether there was one."""
    if owned.state.status != "waiting":
        return False
    known = [decisions[name] for name in sorted(owned.state.questions) if name in decisions]
    for before in known:
        owned.append(DecideApproval(before.step, before.option, before.comment, before.by))
    return bool(known)


def on_recorded_replies(definition: JobDef) -> JobDef:
    """The job with the provider `replay` everywhere, and without limits, caches and `output_dir`."""
    return replace(
        definition,
        provider=REPLAY,
        rate={},
        budget=None,
        output_dir=None,
        steps=tuple(_on_recorded_replies(step) for step in definition.steps),
    )


def _on_recorded_replies(step: StepDef) -> StepDef:
    step = replace(step, budget=None)
    if step.steps:
        return replace(step, steps=tuple(map(_on_recorded_replies, step.steps)))
    if step.provider is None:
        return replace(step, cache="off")
    return replace(step, provider=REPLAY, base_url=None, fallback=(), cache="off")
