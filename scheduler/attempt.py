"""One attempt from start to outcome: render the request, place files, run the effect, capture.

The functions return the outcome. Queueing, retries and events are left to `runner.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, assert_never

import trio
from msgspec import Struct
from msgspec.structs import replace

from orc.ledger import pack
from orc.ledger.bounds import check_value
from orc.ledger.command_lines import quoted_command
from orc.ledger.digest import clean_text
from orc.ledger.events import FileRef
from orc.ledger.files.file_store import StoredFile
from orc.scheduler.attempt_context import AttemptContext, AttemptFolder
from orc.scheduler.budget_gate import OverBudget
from orc.scheduler.capture import Capture
from orc.scheduler.core.commands import Failed, FinishAttempt, Interrupted, Outcome, Succeeded
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.values import to_text
from orc.scheduler.core.resolve.step_tree import is_before, upstream_of
from orc.scheduler.core.resolve.unseen_files import hint_for
from orc.scheduler.core.rules.files import find_conflict
from orc.scheduler.effects.aside import aside
from orc.scheduler.effects.contract import (
    BatchLost,
    PromptRequest,
    Result,
    Stopwatch,
    ValueRequest,
    attempt_timeout_message,
)
from orc.scheduler.effects.embed import EmbedRequest
from orc.scheduler.effects.outcomes import command_result, function_result
from orc.scheduler.executors.contract import (
    Broken,
    Lost,
    Placement,
    Work,
)
from orc.scheduler.folders.spec_folder import hint_for_missing
from orc.scheduler.folders.work_folder import WorkFolder
from orc.scheduler.folders.workspace import CaptureProblem, Workspace
from orc.scheduler.guard import (
    capture_failure,
    failure_of_attempt,
    placing_failure,
    rendering_failure,
)
from orc.scheduler.live_attempt import LiveAttempt
from orc.scheduler.rendered_files import PathProblem, RenderedFile
from orc.scheduler.rendering import EffectRequest
from orc.scheduler.turn import Message
from orc.worker.declared import Declared


class Finished(Struct, frozen=True):
    """The outcome of an attempt, and the blobs and stored files that its events refer to."""

    outcome: Outcome
    blobs: tuple[bytes, ...] = ()
    stored: tuple[StoredFile, ...] = ()

    def message(
        self, step_id: str, attempt: int, now: float, committed: trio.Event | None = None
    ) -> Message:
        """The message to the runner that this attempt has ended; `committed` is set when it knows."""
        command = FinishAttempt(step_id, attempt, self.outcome, now)
        return Message(command, self.blobs, self.stored, committed)


def evaluate_value(context: AttemptContext, step_id: str) -> Finished:
    """Run an attempt of a `value` step. It never waits, so the runner's loop calls it directly."""
    watch = Stopwatch()
    try:
        return _evaluate_value(context, step_id, watch)
    except Exception as error:
        return Finished(failure_of_attempt(error, watch.elapsed(), context.mask))


async def perform_attempt(
    context: AttemptContext,
    step_id: str,
    placed: Placement | None = None,
    *,
    on_work_done: Callable[[], None] = lambda: None,
) -> Finished:
    """Run an attempt of a step of any other kind.

    `on_work_done` is called when the work has ended and only its files are left to be captured.
    `placed` is where an earlier process placed the attempt, if an executor may still perform it.
    When the attempt is cancelled, it ends the processes that it started and returns no outcome.
    """
    watch = Stopwatch()
    try:
        return await _perform_attempt(context, step_id, watch, placed, on_work_done)
    except (Lost, BatchLost) as lost:
        reason: Literal["worker", "batch"] = "worker" if isinstance(lost, Lost) else "batch"
        return Finished(Interrupted(reason, watch.elapsed(), why=str(lost)))
    except OverBudget as error:
        return Finished(replace(error.outcome, duration_s=watch.elapsed()))
    except Exception as error:
        return Finished(failure_of_attempt(error, watch.elapsed(), context.mask))


def _evaluate_value(context: AttemptContext, step_id: str, watch: Stopwatch) -> Finished:
    try:
        request = context.renderer.request(step_id)
        files = context.renderer.files(step_id)
    except (TemplateError, PathProblem) as error:
        return Finished(rendering_failure(error, watch.elapsed()))
    assert isinstance(request, ValueRequest)
    if not files:
        return _succeeded(context, Result(value=request.value), None, [], [], watch.elapsed())
    # Large values are not made a text that no file needs.
    is_needed = any(file.content is None for file in files)
    result = Result(value=request.value, text=to_text(request.value) if is_needed else "")
    capture = _capture_of(context, step_id)
    try:
        refs = capture.written(result, files)
    except CaptureProblem as error:
        return Finished(capture_failure(error, context.mask, watch.elapsed()))
    return _succeeded(context, result, capture, refs, [], watch.elapsed())


async def _perform_attempt(
    context: AttemptContext,
    step_id: str,
    watch: Stopwatch,
    placed: Placement | None,
    on_work_done: Callable[[], None],
) -> Finished:
    try:
        request = context.renderer.request(step_id)
        files = context.renderer.files(step_id)
        declared = context.renderer.declared(step_id)
    except (TemplateError, PathProblem) as error:
        return Finished(rendering_failure(error, watch.elapsed()))
    conflict = find_conflict(
        context.state, step_id, [f"{context.state.project}/{file.path}" for file in files]
    )
    if conflict is not None:
        # The work would be in vain, and a model's reply paid for.
        return Finished(Failed("path", conflict, watch.elapsed(), final=True))
    work = AttemptFolder(context, step_id, tuple(entry.glob for entry in declared))
    try:
        if context.state.graph.steps[step_id].facts.runs_code:
            try:
                await work.open()
            except OSError as error:
                return Finished(placing_failure(error, watch.elapsed()))
        result = await _perform(context, step_id, request, work, placed)
        on_work_done()
        watch.leave_out(result.away_s)
        finished = await _finish(context, step_id, result, files, work.folder, declared, watch)
        finished = _with_times(finished, result)
        work.succeeded = isinstance(finished.outcome, Succeeded)
    finally:
        await work.close()
    definition = context.state.graph.steps[step_id]
    if definition.facts.runs_code or definition.tools:
        return with_log(context.workspace, step_id, context.state.steps[step_id].attempts, finished)
    return finished


def with_log(workspace: Workspace, step_id: str, attempt: int, finished: Finished) -> Finished:
    """The outcome, with the attempt's log added.

    The work is done, whether or not its log can be read: a warning says if it cannot.
    """
    try:
        log = workspace.read_log(step_id, attempt)
    except Exception as error:
        outcome = finished.outcome
        if not isinstance(outcome, Succeeded) or outcome.warning is not None:
            return finished
        warning = f"the log could not be read: {clean_text(str(error))[:200]}"
        return replace(finished, outcome=replace(outcome, warning=warning))
    if log is None:
        return finished
    payload, blob = log
    blobs = finished.blobs if blob is None else (*finished.blobs, blob)
    return replace(finished, outcome=replace(finished.outcome, log=payload), blobs=blobs)


async def _perform(
    context: AttemptContext,
    step_id: str,
    request: EffectRequest,
    work: AttemptFolder,
    placed: Placement | None,
) -> Result:
    match request:
        case PromptRequest():
            # Imported here and below, since it loads the tools and the clients of models.
            from orc.scheduler.asking.ask import ask

            return await ask(context, request, work)
        case EmbedRequest():
            from orc.scheduler.asking.ask import embed

            return await embed(context, request)
        case Work():
            return await _perform_work(context, step_id, request, placed)
        case ValueRequest():
            return Result(value=request.value)
        case _:
            assert_never(request)


async def _perform_work(
    context: AttemptContext, step_id: str, work: Work, placed: Placement | None
) -> Result:
    definition = context.state.graph.steps[step_id]
    number = context.state.steps[step_id].attempts
    try:
        attempt = LiveAttempt(
            context.renderer,
            context.placing,
            step_id,
            number,
            database=context.database,
            mask=context.mask,
        )
    except TemplateError as error:
        return Result(failed=Failed("template", str(error), 0.0, final=True))
    executor = context.executors.get(definition.executor)
    if executor is None:
        message = (
            f"there is no executor {definition.executor!r} here; see {quoted_command('executors')}"
        )
        return Result(failed=Failed("environment", message, 0.0, final=True))
    try:
        outcome = await executor.perform(attempt, work, placed=placed)
    finally:
        if definition.is_remote:
            attempt.close()
    if outcome.broken is not None and outcome.broken.kind == "timeout":
        limit = attempt_timeout_message(definition.timeout_s or 0.0)
        outcome = replace(outcome, broken=Broken("timeout", limit))
    if work.kind == "function":
        read = partial(function_result, outcome, limits=definition.limits, mask=context.mask)
    else:
        read = partial(
            command_result,
            outcome,
            wants_json=definition.format == "json",
            output_schema=definition.output_schema,
            mask=context.mask,
        )
    result: Result = await aside(read, len(outcome.stdout) + len(outcome.answer or b""))
    if not definition.is_remote:
        return replace(result, away_s=outcome.away_s) if outcome.away_s else result
    # The time until orc learned of it does not count.
    return replace(
        result,
        duration_s=outcome.duration_s,
        queued_s=outcome.queued_s,
        modes={
            place: {file.path: file.mode for file in files}
            for place, files in (("work", outcome.files), ("artifacts", outcome.artifacts))
        },
    )


async def _finish(
    context: AttemptContext,
    step_id: str,
    result: Result,
    files: list[RenderedFile],
    folder: WorkFolder | None,
    declared: tuple[Declared, ...],
    watch: Stopwatch,
) -> Finished:
    capture = _capture_of(context, step_id)
    definition = context.state.graph.steps[step_id]
    runs_code = definition.facts.runs_code
    try:
        artifacts: list[FileRef] = []
        if folder is not None and runs_code:
            artifacts = await capture.artifacts(folder, result.modes)
        if result.failed is not None:
            failed = replace(
                result.failed,
                message=_with_hint(context, step_id, result, result.failed.message),
                duration_s=watch.elapsed(),
                artifacts=tuple(artifacts) or None,
            )
            return Finished(failed, tuple(capture.blobs), tuple(capture.stored))
        refs = capture.written(result, files)
        if folder is not None and runs_code:
            there = context.renderer.inputs(step_id) if definition.is_remote else None
            refs = await capture.made(folder, declared, refs, modes=result.modes, elsewhere=there)
    except (CaptureProblem, OSError) as error:
        return Finished(capture_failure(error, context.mask, watch.elapsed()))
    pack_up = partial(_succeeded, context, result, capture, refs, artifacts, watch.elapsed())
    finished: Finished = await aside(pack_up, len(result.text))
    return finished


def _with_times(finished: Finished, result: Result) -> Finished:
    """The outcome with the times that an executor measured, if it did."""
    outcome = finished.outcome
    if result.duration_s is None or not isinstance(outcome, Succeeded | Failed):
        return finished
    duration_s = round(result.duration_s, 6)
    outcome = replace(outcome, duration_s=duration_s, queued_s=result.queued_s)
    return replace(finished, outcome=outcome)


def _with_hint(context: AttemptContext, step_id: str, result: Result, message: str) -> str:
    """The message of a failure, with the remedy if the step missed a file that is elsewhere."""
    steps, renderer = context.state.graph.steps, context.renderer
    definition = steps[step_id]
    if not definition.facts.runs_code:
        return message
    seen = renderer.inputs(step_id).keys()
    hint = hint_for(
        f"{message}\n{result.complaint}",
        step_id=step_id,
        writer_of=partial(renderer.writer_of, except_for=step_id),
        is_later=lambda writer: writer in steps and is_before(step_id, upstream_of(writer, steps)),
        seen=seen,
    )
    if hint is None and isinstance(work := renderer.request(step_id), Work):
        hint = hint_for_missing(
            work,
            result,
            places=renderer.places(step_id),
            got=seen,
            is_remote=definition.is_remote,
        )
    return message if hint is None else f"{message} ({hint})"


def _succeeded(
    context: AttemptContext,
    result: Result,
    capture: Capture | None,
    files: list[FileRef],
    artifacts: list[FileRef],
    duration_s: float,
) -> Finished:
    value = result.value
    try:
        if context.mask:
            check_value(value)
            value = context.mask.value(value)
        output, blob = pack(value)
    except ValueError as error:
        message = f"the step's output cannot be stored as JSON: {error}"
        return Finished(Failed(kind="schema", message=message, duration_s=duration_s))
    if capture is None:
        outcome = Succeeded(output=output, duration_s=duration_s, warning=result.warning)
        return Finished(outcome, () if blob is None else (blob,))
    if blob is not None:
        capture.blobs.append(blob)
    outcome = Succeeded(
        output=output,
        duration_s=duration_s,
        files=tuple(files),
        artifacts=tuple(artifacts) or None,
        warning="; ".join(filter(None, (result.warning, capture.warning))) or None,
        folders=tuple(capture.folders),
    )
    return Finished(outcome, tuple(capture.blobs), tuple(capture.stored))


def _capture_of(context: AttemptContext, step_id: str) -> Capture:
    return Capture(
        project=context.state.project,
        mask=context.mask,
        store=context.store,
        limits=context.state.graph.steps[step_id].limits,
    )
