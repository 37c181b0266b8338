"""One attempt from start to outcome: render the request, place files, run the effect, capture.

The functions return the outcome. Queueing, retries and events are left to `runner.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from orc.ledger import LedgerError, pack
from orc.ledger.bounds import check_value
from orc.ledger.digest import clean_text
from orc.ledger.events import FileRef
from orc.ledger.files.file_store import FileStore, StoredFile
from orc.ledger.scarcity import find_shortage
from orc.ledger.secrets.masking import Mask
from orc.providers import Provider
from orc.providers.catalogue import SECTIONS, facts_of
from orc.scheduler.budget_gate import OverBudget
from orc.scheduler.capture import Capture
from orc.scheduler.core.commands import Failed, Outcome, Succeeded
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.resolve.unseen_files import hint_for
from orc.scheduler.effects.calls import OnDelta
from orc.scheduler.effects.contract import (
    Journal,
    PromptRequest,
    ReplyCache,
    Result,
    Stopwatch,
    Toolbox,
    ValueRequest,
)
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.outcomes import command_result, function_result
from orc.scheduler.effects.prompt import perform_prompt
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.tools import open_toolbox
from orc.scheduler.executors.contract import Work
from orc.scheduler.executors.local import LocalExecutor
from orc.scheduler.globs import Globs
from orc.scheduler.live_attempt import LiveAttempt
from orc.scheduler.rendering import EffectRequest, PathProblem, RenderedFile, Renderer
from orc.scheduler.shared_folder import SharedFolder
from orc.scheduler.work_folder import WorkFolder
from orc.scheduler.workspace import CaptureProblem, Workspace


@dataclass(frozen=True, slots=True)
class Finished:
    """The outcome of an attempt, and the blobs and stored files that its events refer to."""

    outcome: Outcome
    blobs: tuple[bytes, ...] = ()
    stored: tuple[StoredFile, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """The objects that all attempts of one job share."""

    state: JobState
    renderer: Renderer
    workspace: Workspace
    providers: Mapping[str, Provider]
    groups: ProcessGroups
    workers: WorkerPool
    local: LocalExecutor
    journal: Journal
    on_delta: OnDelta
    mask: Mask
    store: FileStore
    cache: ReplyCache | None = None
    keeps_work: Literal["failed", "always"] | None = None


def evaluate_value(context: AttemptContext, step_id: str) -> Finished:
    """Run an attempt of a `value` step. It never waits, so the runner's loop calls it directly."""
    watch = Stopwatch()
    try:
        return _evaluate_value(context, step_id, watch)
    except LedgerError:
        raise
    except Exception as error:
        return Finished(_internal_failure(error, watch))


async def perform_attempt(context: AttemptContext, step_id: str) -> Finished:
    """Run an attempt of a step of any other kind.

    When the attempt is cancelled, it ends the processes that it started and returns no outcome.
    """
    watch = Stopwatch()
    try:
        return await _perform_attempt(context, step_id, watch)
    except LedgerError:
        raise
    except OverBudget as error:
        return Finished(replace(error.outcome, duration_s=watch.elapsed()))
    except Exception as error:
        return Finished(_internal_failure(error, watch))


def _evaluate_value(context: AttemptContext, step_id: str, watch: Stopwatch) -> Finished:
    try:
        request = context.renderer.request(step_id)
        files = context.renderer.files(step_id)
    except (TemplateError, PathProblem) as error:
        return Finished(_rendering_failure(error, watch))
    assert isinstance(request, ValueRequest)
    text = request.value if isinstance(request.value, str) else None
    result = Result(value=request.value, text=text or "")
    capture = _capture_of(context, step_id)
    try:
        refs = capture.written(result, files)
    except CaptureProblem as error:
        return Finished(_capture_failure(error, context.mask, watch))
    return _succeeded(context, result, capture, refs, [], watch)


async def _perform_attempt(context: AttemptContext, step_id: str, watch: Stopwatch) -> Finished:
    try:
        request = context.renderer.request(step_id)
        files = context.renderer.files(step_id)
        globs = tuple(context.renderer.globs(step_id))
    except (TemplateError, PathProblem) as error:
        return Finished(_rendering_failure(error, watch))
    work = AttemptFolder(context, step_id, globs)
    try:
        if context.state.graph.steps[step_id].facts.runs_code:
            try:
                await work.open()
            except OSError as error:
                return Finished(_placing_failure(error, watch))
        result = await _perform(context, step_id, request, work)
        finished = await _finish(context, step_id, result, files, work.folder, Globs(globs), watch)
        work.succeeded = isinstance(finished.outcome, Succeeded)
    finally:
        await work.close()
    definition = context.state.graph.steps[step_id]
    if definition.facts.runs_code or definition.tools:
        return with_log(context.workspace, step_id, context.state.steps[step_id].attempts, finished)
    return finished


class AttemptFolder:
    """The working folder of an attempt, from its creation to its removal."""

    def __init__(self, context: AttemptContext, step_id: str, globs: tuple[str, ...]) -> None:
        self.folder: WorkFolder | None = None
        self.succeeded = False
        self._context = context
        self._step_id = step_id
        self._globs = globs

    async def open(self) -> None:
        """Create the folder, with the files of the steps before. Raises OSError, LedgerError."""
        context = self._context
        self.folder = context.workspace.attempt_folder(
            self._step_id,
            context.state.steps[self._step_id].attempts,
            shared=context.state.graph.steps[self._step_id].workspace,
            globs=self._globs,
        )
        await context.workspace.open(self.folder, context.renderer.inputs(self._step_id))

    async def close(self) -> None:
        """Remove the folder, unless the job or its caller keeps it."""
        keeps = self._context.keeps_work
        is_kept = keeps == "always" or (keeps == "failed" and not self.succeeded)
        if self.folder is None:
            return
        if isinstance(self.folder, SharedFolder):
            if not self.succeeded:
                self.folder.discard()
        elif is_kept:
            return
        await self._context.workspace.close(self.folder)


def with_log(workspace: Workspace, step_id: str, attempt: int, finished: Finished) -> Finished:
    """The outcome, with the attempt's log added."""
    try:
        log = workspace.read_log(step_id, attempt)
    except OSError:
        # The work is done, whether or not its log can be read.
        log = None
    if log is None:
        return finished
    payload, blob = log
    blobs = finished.blobs if blob is None else (*finished.blobs, blob)
    return replace(finished, outcome=replace(finished.outcome, log=payload), blobs=blobs)


async def _perform(
    context: AttemptContext, step_id: str, request: EffectRequest, work: AttemptFolder
) -> Result:
    match request:
        case PromptRequest():
            # A prompt applies the limit itself, so that it can record the end of its last call.
            limit_s = context.state.graph.steps[step_id].timeout_s
            return await _ask(context, replace(request, timeout_s=limit_s), work)
        case Work():
            return await _perform_work(context, step_id, request)
        case ValueRequest():
            return Result(value=request.value)
        case _:
            assert_never(request)


async def _perform_work(context: AttemptContext, step_id: str, work: Work) -> Result:
    definition = context.state.graph.steps[step_id]
    try:
        attempt = LiveAttempt(context.renderer, step_id, context.state.steps[step_id].attempts)
    except TemplateError as error:
        failed = Failed(kind="template", message=str(error), duration_s=0.0, final=True)
        return Result(failed=failed)
    outcome = await context.local.perform(attempt, work)
    if work.kind == "function":
        return function_result(outcome, limits=definition.limits, mask=context.mask)
    return command_result(
        outcome,
        wants_json=definition.format == "json",
        output_schema=definition.output_schema,
        mask=context.mask,
    )


async def _ask(context: AttemptContext, request: PromptRequest, work: AttemptFolder) -> Result:
    provider = context.providers[request.target.server]
    params = dict(request.request.params)
    # Parameters under a provider's name are sent to that provider only. They are not `dropped`.
    options = {name: params.pop(name) for name in SECTIONS if name in params}
    kept = {key: value for key, value in params.items() if key in provider.params}
    request = replace(
        request,
        request=replace(
            request.request,
            params=kept,
            options=options.get(facts_of(provider.name).section or "", {}),
        ),
        dropped=tuple(sorted(set(params) - set(kept))),
    )
    toolbox = _open_toolbox(context, request.step, work)
    result = await perform_prompt(
        request,
        provider=provider,
        journal=context.journal,
        on_delta=context.on_delta,
        toolbox=toolbox,
        cache=None if request.cache == "off" else context.cache,
        mask=context.mask,
    )
    if toolbox is None or result.failed is not None:
        return result
    return replace(result, written=toolbox.written())


def _open_toolbox(context: AttemptContext, step_id: str, work: AttemptFolder) -> Toolbox | None:
    tools = context.state.graph.steps[step_id].tools
    if not tools:
        return None
    return open_toolbox(
        tools,
        context.renderer.tool_context(step_id, open_folder=work.open),
        workers=context.workers,
        groups=context.groups,
        mask=context.mask,
    )


async def _finish(
    context: AttemptContext,
    step_id: str,
    result: Result,
    files: list[RenderedFile],
    folder: WorkFolder | None,
    globs: Globs,
    watch: Stopwatch,
) -> Finished:
    capture = _capture_of(context, step_id)
    runs_code = context.state.graph.steps[step_id].facts.runs_code
    try:
        artifacts: list[FileRef] = []
        if folder is not None and runs_code:
            artifacts = await capture.artifacts(folder)
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
            refs = await capture.made(folder, globs, refs)
    except (CaptureProblem, OSError) as error:
        return Finished(_capture_failure(error, context.mask, watch))
    return _succeeded(context, result, capture, refs, artifacts, watch)


def _with_hint(context: AttemptContext, step_id: str, result: Result, message: str) -> str:
    """The message of a failure; if it names a file that another step writes, with the remedy."""
    if not context.state.graph.steps[step_id].facts.runs_code:
        return message
    hint = hint_for(
        f"{message}\n{result.complaint}",
        step_id=step_id,
        files=context.renderer.files_of_others(step_id),
        seen=context.renderer.inputs(step_id).keys(),
    )
    return message if hint is None else f"{message} ({hint})"


def _succeeded(
    context: AttemptContext,
    result: Result,
    capture: Capture,
    files: list[FileRef],
    artifacts: list[FileRef],
    watch: Stopwatch,
) -> Finished:
    try:
        if context.mask:
            check_value(result.value)
        output, blob = pack(context.mask.value(result.value))
    except ValueError as error:
        message = f"the step's output cannot be stored as JSON: {error}"
        return Finished(Failed(kind="schema", message=message, duration_s=watch.elapsed()))
    if blob is not None:
        capture.blobs.append(blob)
    outcome = Succeeded(
        output=output,
        duration_s=watch.elapsed(),
        files=tuple(files),
        artifacts=tuple(artifacts) or None,
        warning=result.warning or capture.warning,
    )
    return Finished(outcome, tuple(capture.blobs), tuple(capture.stored))


def _capture_of(context: AttemptContext, step_id: str) -> Capture:
    return Capture(
        project=context.state.project,
        mask=context.mask,
        store=context.store,
        limits=context.state.graph.steps[step_id].limits,
    )


def _placing_failure(error: OSError, watch: Stopwatch) -> Failed:
    return Failed(
        kind="environment",
        message="the files of the steps before could not be placed in the working folder: "
        f"{find_shortage(error) or error}",
        duration_s=watch.elapsed(),
    )


def _rendering_failure(error: TemplateError | PathProblem, watch: Stopwatch) -> Failed:
    return Failed(
        kind="template" if isinstance(error, TemplateError) else "path",
        message=clean_text(str(error)),
        duration_s=watch.elapsed(),
        final=True,
    )


def _capture_failure(error: CaptureProblem | OSError, mask: Mask, watch: Stopwatch) -> Failed:
    shortage = find_shortage(error)
    if shortage is None:
        message = mask.text(clean_text(str(error)))
        return Failed(kind="path", message=message, duration_s=watch.elapsed())
    message = f"the step's files could not be read: {shortage}"
    return Failed(kind="environment", message=message, duration_s=watch.elapsed())


def _internal_failure(error: Exception, watch: Stopwatch) -> Failed:
    """The failure for an unexpected exception. It fails the step only, not the whole job."""
    shortage = find_shortage(error)
    if shortage is not None:
        return Failed(kind="environment", message=shortage, duration_s=watch.elapsed(), final=True)
    message = clean_text(f"internal error in orc: {type(error).__name__}: {error}")
    return Failed(
        kind="environment", message=message[:1000], duration_s=watch.elapsed(), final=True
    )
