"""A job's state without a run: loads it, appends events to it, and words what its steps wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from orc.ledger import JobId, Ledger, LedgerReader, Recorded
from orc.ledger.codec import mask_event
from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import CorruptLedger, NoSuchJob
from orc.ledger.events import Failure, StepReused
from orc.ledger.files.file_store import StoredFile
from orc.ledger.kinds import WaitsFor
from orc.ledger.stored import UNEXPECTED
from orc.projections.caches.taken_over import TakenEvent
from orc.projections.tables.inner_waits import WAITS_FOR, InnerWaits, StepWait, inner_waits
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import Command, ReuseStep, TakeOver
from orc.scheduler.core.fold.evolve import JobState, evolve
from orc.scheduler.core.fold.replayed import fold_events
from orc.scheduler.core.fold.state import StepState
from orc.scheduler.core.rules.decide import decide

if TYPE_CHECKING:
    from orc.projections.folder.run_folder import RunFolder


def load_state(ledger: LedgerReader, job_id: str, *, applied: RunFolder | None = None) -> JobState:
    """The job's state, folded from its definition and its events. Raises LedgerError.

    The events are applied to an empty run folder, too: they are read once for both.
    """
    try:
        return _fold(ledger, job_id, applied)
    except UNEXPECTED as error:
        # The events that orc appends can always be folded: another program changed these.
        raise CorruptLedger(
            f"{ledger.path}: the events of {job_id} were changed and cannot be folded "
            f"({type(error).__name__}: {error}); {quoted_command('verify', job_id)} shows what is wrong"
        ) from error


def append_command(
    ledger: Ledger,
    job_id: JobId,
    state: JobState,
    *commands: Command,
    blobs: Iterable[bytes],
    stored: Iterable[StoredFile] = (),
) -> list[Recorded]:
    """Decide on commands outside of a run, and append their events in one transaction; the events.

    They are applied to `state`. Raises LedgerError.
    """
    at = Clock().recorded_at()
    batch = []
    for command in commands:
        for event in decide(state, command):
            # Mask before the fold, so that the state equals that of a resumed job.
            recorded = Recorded(job_id, state.version + 1, at, mask_event(ledger.mask, event))
            evolve(state, recorded)
            batch.append(recorded)
    ledger.append(batch, blobs=blobs, stored=stored)
    return batch


def failures_of(state: JobState) -> list[Failure]:
    """The failures that made the job fail: the job's own first, then those of steps."""
    of_job = [] if state.job_failure is None else [state.job_failure]
    return of_job + list(state.failed.values())


def take_over(events: Iterable[TakenEvent]) -> list[Command]:
    """The commands of a new job that takes over what another job has."""
    return [
        ReuseStep(event) if isinstance(event, StepReused) else TakeOver(event) for event in events
    ]


def waits_inside(state: JobState) -> dict[str, InnerWaits]:
    """The waits inside each open container, by the id of the container; empty if no step waits."""
    if all(_waits_for(step) is None for step in state.steps.values()):
        return {}
    return inner_waits(_steps(state))


def wait_text(state: JobState, step_id: str) -> str:
    """What a step or the steps inside it wait for, or else its status: `it is pending`."""
    step = state.steps[step_id]
    reason = _waits_for(step)
    if reason is not None:
        return f"it waits {WAITS_FOR[reason]}"
    inside = waits_inside(state).get(step_id)
    if inside is not None and inside.waiting:
        return inside.text()
    if step.status == "running" and state.status == "waiting":
        return "it goes on when the job is resumed"
    return f"it is {step.status}"


def _steps(state: JobState) -> Iterator[StepWait]:
    for name, step in state.steps.items():
        definition = state.graph.steps[name]
        kind = definition.shape or definition.kind
        yield StepWait(name, step.parent, kind, step.status, _waits_for(step))


def _waits_for(step: StepState) -> WaitsFor | None:
    """What the step waits for; one whose call is in a batch is running."""
    is_in_batch = step.status == "running" and step.batched is not None
    return "batch" if is_in_batch else step.waits_for


def _fold(ledger: LedgerReader, job_id: str, applied: RunFolder | None) -> JobState:
    # Closed at once: an error keeps its frames, and a cursor in them keeps the ledger's files open.
    if applied is None:
        with closing(ledger.read_stream(job_id)) as events:
            state = fold_events(events, ledger.read_payload)
    else:
        with closing(ledger.read_stored(job_id)) as stored:
            state = fold_events(applied.applying(stored), applied.read_spec)
    if state is None:
        raise NoSuchJob(f"there is no job {job_id}")
    return state
