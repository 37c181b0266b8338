"""What an exception in the work for one step means: it fails that step, or it stops the job.

The runner does much for a step besides its attempt: it evaluates its condition, expands and gathers
it, looks up its result, records its outcome. If an exception left the runner there, it would come
again at each resume, and all that was paid for would be out of reach. So each piece of such work is
guarded: what concerns one step fails this step, and the job goes on to its end.

What concerns the whole job leaves the runner: a disk that is full, a ledger that is damaged or
owned by another process, a machine without memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from orc.ledger.codec import mask_event
from orc.ledger.digest import clean_text
from orc.ledger.errors import FileTooLarge, LedgerError, RemovedBlob
from orc.ledger.events import AnyEvent
from orc.ledger.packing import within_limit
from orc.ledger.scarcity import find_shortage
from orc.ledger.secrets.masking import Mask
from orc.scheduler.core.commands import (
    AskAboutDoubt,
    AskPerson,
    Command,
    ConfigureStep,
    ExpandStep,
    ExpireStep,
    Failed,
    FailStep,
    FinishAttempt,
    ReuseStep,
    SkipStep,
    StartAttempt,
    shorten_message,
)
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.executors.contract import Superseded
from orc.scheduler.folders.workspace import CaptureProblem
from orc.scheduler.rendered_files import PathProblem

_ROOT = Path(__file__).parent.parent
_SAID_CHARS_MAX = 1000


def failure_between_turns(error: Exception, doing: str, mask: Mask) -> Failed:
    """The failure of the step for which the runner did something, such as `evaluate the step`.

    Raises the error again if it concerns the whole job.
    """
    cause = _cause(error)
    if find_shortage(cause) is not None:
        raise error
    return _failure(error, cause, doing, 0.0, mask)


def failure_of_attempt(error: Exception, duration_s: float, mask: Mask) -> Failed:
    """The failure of an attempt that ended with an exception.

    That the machine lacks something fails the attempt, since the outcome of its work may be lost.
    Raises the error again if it concerns the whole job.
    """
    cause = _cause(error)
    shortage = find_shortage(cause)
    if shortage is not None:
        return Failed("environment", shortage, duration_s, final=True)
    return _failure(error, cause, "perform the attempt", duration_s, mask)


def placing_failure(error: OSError, duration_s: float) -> Failed:
    """The failure of an attempt whose working folder could not be filled."""
    return Failed(
        kind="environment",
        message="the files of the steps before could not be placed in the working folder: "
        f"{find_shortage(error) or error}",
        duration_s=duration_s,
    )


def rendering_failure(error: TemplateError | PathProblem, duration_s: float) -> Failed:
    """The failure of a step whose request could not be rendered."""
    return Failed(
        kind="template" if isinstance(error, TemplateError) else "path",
        message=clean_text(str(error)),
        duration_s=duration_s,
        final=True,
    )


def capture_failure(error: CaptureProblem | OSError, mask: Mask, duration_s: float) -> Failed:
    """The failure of an attempt whose files could not be captured."""
    shortage = find_shortage(error)
    if shortage is None:
        message = mask.text(clean_text(str(error)))
        kind = error.kind if isinstance(error, CaptureProblem) else "path"
        return Failed(kind=kind, message=message, duration_s=duration_s)
    message = f"the step's files could not be read: {shortage}"
    return Failed(kind="environment", message=message, duration_s=duration_s)


def guarded_events(
    state: JobState, command: Command, mask: Mask, *, blobs: Sequence[bytes] = ()
) -> tuple[list[AnyEvent], bool]:
    """The masked events of a command, and whether they can be stored with the `blobs`.

    If they cannot, the step that the command is about fails; the blobs are then not needed. That
    a rule refuses a command (AssertionError) is no matter of one step.
    """
    try:
        for blob in blobs:
            within_limit(blob)
        return _events(state, command, mask), True
    except AssertionError:
        raise
    except Exception as error:
        step_id = _step_of(command)
        if step_id is None:
            raise
        failed = failure_between_turns(error, "record what became of the step", mask)
        return _events(state, FailStep(step_id, failed), mask), False


def with_safe_message(command: Command, mask: Mask) -> Command:
    """The command; the message of a failure is masked, and then cut."""
    match command:
        case FinishAttempt(outcome=Failed() as failed):
            return replace(command, outcome=_safe(failed, mask))
        case FailStep():
            return replace(command, failed=_safe(command.failed, mask))
    return command


def _safe(failed: Failed, mask: Mask) -> Failed:
    return replace(failed, message=shorten_message(mask.text(clean_text(failed.message))))


def _events(state: JobState, command: Command, mask: Mask) -> list[AnyEvent]:
    events = decide(state, command)
    return [mask_event(mask, event) for event in events] if mask else events


def _step_of(command: Command) -> str | None:
    """The step whose work can fail because of the command; None for the others."""
    match command:
        case ReuseStep():
            return command.event.step
        case FinishAttempt() | StartAttempt() | ExpandStep() | AskPerson() | AskAboutDoubt():
            return command.step
        case SkipStep() | FailStep() | ExpireStep() | ConfigureStep():
            return command.step
        case _:
            return None


def _failure(
    error: Exception, cause: BaseException, doing: str, duration_s: float, mask: Mask
) -> Failed:
    match cause:
        case TemplateError() | FileTooLarge():
            return Failed("template", clean_text(str(cause)), duration_s, final=True)
        case RemovedBlob():
            return Failed("environment", clean_text(str(cause)), duration_s, final=True)
        case LedgerError() | Superseded():
            raise error
    # Masked before it is cut: the beginning of a secret would not be found.
    said = mask.text(clean_text(f"{type(cause).__name__}: {cause}"))[:_SAID_CHARS_MAX]
    return Failed(
        "internal",
        f"unexpected error in orc, which could not {doing}: {said} (raised at {_place(cause)}). "
        "This is a bug of orc: please report it with this message. `orc resume` tries the step "
        "again; what other steps made is kept",
        duration_s,
        final=True,
    )


def _cause(error: BaseException) -> BaseException:
    """The exception that decides: in a group, the first that concerns the whole job, else the first."""
    found = list(_leaves(error))
    for one in found:
        is_of_step = isinstance(one, FileTooLarge | RemovedBlob)
        if isinstance(one, LedgerError | Superseded) and not is_of_step:
            return one
    return found[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting += reversed(one.exceptions)
        else:
            yield one


def _place(error: BaseException) -> str:
    """Where in orc the exception was raised, such as `scheduler/branching.py:120`."""
    place = "an unknown place"
    trace = error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_ROOT):
            place = f"{path.relative_to(_ROOT)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
