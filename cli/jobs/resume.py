"""`orc resume` and `orc rerun`: continue a job, and amend it first if there is an amendment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.budgets import parse_raise
from orc.cli.jobs.caller.executors import check_replaced
from orc.cli.jobs.caller.left_running import left_behind, left_running
from orc.cli.jobs.caller.replies import read_replies_for_resume
from orc.cli.jobs.caller.secrets import steps_to_run
from orc.cli.jobs.caller.spec_dir import require_spec_folder
from orc.cli.jobs.caller.step_names import check_step_names
from orc.cli.jobs.caller.trust import refuse_untrusted
from orc.cli.jobs.owned_job import NO_NAMES, Caller, Ended, Listener, OwnedJob, own, owner_here
from orc.cli.jobs.places import Places, open_to_continue
from orc.cli.jobs.removed_blobs import refuse_removed
from orc.ledger import JobId, Ledger, Payload, pack
from orc.ledger.command_lines import quoted_command
from orc.ledger.definition import REPLAY
from orc.ledger.files.project_places import spec_folder
from orc.ledger.files.runner_log import BACKGROUND, read_runner
from orc.ledger.kinds import JOB_ENDED_BADLY
from orc.scheduler.core.commands import Command, ResumeJob, StartJob
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.placing_commands import EndPlaced

if TYPE_CHECKING:
    from orc.cli.jobs.amend import Amendment
    from orc.scheduler.executors.remote import RemoteExecutor


async def resume(
    name: str,
    *,
    places: Places,
    environment: Mapping[str, str],
    provider: str | None = None,
    replies: Path | None = None,
    timeout_s: float | None = None,
    budget: tuple[str, ...] = (),
    listener: Listener | None = None,
    force: bool = False,
    keep_work: bool = False,
    wait: bool = True,
    executors: Mapping[str, str] = NO_NAMES,
    amendment: Amendment | None = None,
    only: tuple[str, ...] = (),
    trust: bool = False,
) -> Ended:
    """Continue a job from its last event. A job that has succeeded runs only if it is amended.

    `only` are the steps to run, with the steps that they need. `trust` allows the commands of a job
    or ledger that another user made or can write to. Raises NoSuchJob, OwnedElsewhere, SpecError,
    UsageProblem, EnvironmentProblem, LedgerError.
    """
    if provider not in (None, REPLAY):
        raise UsageProblem(
            f"--provider {provider}: a resumed job keeps its providers, and only `replay` can replace "
            "them; leave it out"
        )
    with open_to_continue(places, environment, trust=trust) as ledger:
        job_id = ledger.find_job(name)
        refuse_untrusted(ledger, job_id, trust=trust)
        on = listener or Listener()
        caller = Caller(places, environment, on, force, keep_work, executors, wait=wait)
        async with AsyncExitStack() as stack:
            owned = stack.enter_context(own(ledger, job_id, caller))
            state = owned.fold()
            _refuse_withdrawn(owned)
            if amendment is None or not amendment.edits_spec:
                check_replaced(executors, state.definition)
            # What the options say is checked before anything is recorded, in whatever state the job is.
            document = None
            if replies is not None or provider is not None:
                document = read_replies_for_resume(
                    ledger, state, provider=provider, replies=replies
                )
            connected = None
            if amendment is not None:
                connected = await _amend(owned, amendment, budget=budget, stack=stack)
                state = owned.state
            check_step_names("--only", only, state.steps)
            for amount in budget:
                # All are checked before the first is recorded.
                parse_raise(amount, state)
            if state.status == "succeeded":
                return owned.publish_again()
            refuse_removed(ledger, job_id, state)
            return await continue_job(
                owned,
                provider=provider,
                document=document,
                timeout_s=timeout_s,
                budget=budget,
                only=only,
                connected=connected,
            )


async def _amend(
    owned: OwnedJob, amendment: Amendment, *, budget: tuple[str, ...], stack: AsyncExitStack
) -> list[RemoteExecutor] | None:
    """Amend the job; the executors of its new definition, if it goes on, until `stack` ends."""
    caller, state = owned.caller, owned.state
    prepared = amendment.prepare(owned.ledger, owned.job_id, state)
    check_replaced(caller.executors, prepared.definition)
    for amount in budget:
        parse_raise(amount, state, definition=prepared.definition)
    connected = None
    if prepared.continues_job:
        # Before anything is recorded.
        connected = await stack.enter_async_context(caller.connect(prepared.definition))
    if prepared.has_changes:
        # An amendment interrupts all attempts.
        await owned.end_elsewhere(left_running(state))
    owned.state = prepared.record()
    return connected


def _refuse_withdrawn(owned: OwnedJob) -> None:
    """Refuse to run a job whose start in this process, in the background, was withdrawn."""
    if not owned.caller.environment.get(BACKGROUND):
        return
    seen = read_runner(owned.ledger.path, owned.job_id)
    if seen is not None and seen.is_withdrawn:
        raise UsageProblem(
            f"{owned.job_id} was cancelled before this process ran it: nothing was run; "
            f"{quoted_command('resume', owned.job_id)} continues it"
        )


async def continue_job(
    owned: OwnedJob,
    *,
    provider: str | None = None,
    document: Any = None,
    timeout_s: float | None = None,
    budget: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    from_queue: bool = False,
    connected: list[RemoteExecutor] | None = None,
) -> Ended:
    """Run a job that this process owns and has folded; the arguments are those of `resume`, checked.

    `document` are recorded replies that were given, None for those that the job has. With
    `from_queue`, this process is a worker, which took the job from the queue. `connected` are the
    executors, if they are connected already.
    """
    ledger, job_id, state = owned.ledger, owned.job_id, owned.state
    steps = steps_to_run(state, only)
    document = check_continued(owned, steps, provider=provider, document=document)
    async with AsyncExitStack() as stack:
        if connected is None:
            connected = await stack.enter_async_context(owned.caller.connect(state.definition))
        if left := left_behind(state, connected):
            await owned.end_elsewhere(left)
            owned.append(*(EndPlaced(one.step, one.attempt) for one in left))
        for amount in budget:
            owned.append(parse_raise(amount, state))
        start = start_command(
            ledger,
            job_id,
            state,
            provider,
            document,
            timeout_s,
            only or None,
            from_queue=from_queue,
        )
        return await owned.run(start, connected)


def check_continued(
    owned: OwnedJob,
    steps: Collection[str],
    *,
    provider: str | None = None,
    document: Any = None,
) -> Any:
    """Check that the steps can run here, and build the job's providers; its recorded replies.

    They are the `document`, if it is given. Nothing is recorded. Raises UsageProblem,
    EnvironmentProblem, LedgerError.
    """
    ledger, state = owned.ledger, owned.state
    assert state.submitted is not None
    require_spec_folder(spec_folder(state.submitted, ledger.path), state.definition, steps=steps)
    mask = owned.read_secrets(steps=steps)
    if document is None:
        document = read_replies_for_resume(ledger, state, provider=provider, replies=None)
    document = mask.value(document)
    owned.build_providers(replies=document, override=provider)
    return document


def start_command(
    ledger: Ledger,
    job_id: JobId,
    state: JobState,
    override: str | None,
    replies: Any,
    timeout_s: float | None,
    only: tuple[str, ...] | None,
    *,
    from_queue: bool = False,
) -> Command:
    """The command that starts a run of an existing job: StartJob or ResumeJob. Raises LedgerError."""
    owner = owner_here()
    if state.status == "submitted":
        return StartJob(owner, only, from_queue)
    payload: Payload | None = None
    if replies is not None:
        payload, blob = pack(replies)
        if payload == state.replies:
            payload = None
        elif blob is not None:
            ledger.append_blobs([blob])
    last_signal = None
    if state.status in JOB_ENDED_BADLY:
        # Signals from before the job's end need no action any more. If the job has not ended, the
        # run still acts on them.
        last_signal = max((signal.id for signal in ledger.read_signals(job_id)), default=None)
    return ResumeJob(
        owner,
        provider=override,
        replies=payload,
        timeout_s=timeout_s,
        signal_id=last_signal,
        only=only,
        from_queue=from_queue,
    )
