"""Renders a step's definition into the request for its effect.

Which names a template may use is left to `scopes.py`; running the request to `attempt.py`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orc.ledger import LedgerReader
from orc.ledger.definition import StepDef
from orc.ledger.events import FileRef, Payload
from orc.ledger.files.project_places import spec_folder
from orc.ledger.gathered import gathered_value
from orc.ledger.secrets.masking import Mask
from orc.providers import Request
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.upstream import Upstream, may_replace
from orc.scheduler.core.language.templates import parse_template, render_value
from orc.scheduler.core.language.values import to_text
from orc.scheduler.core.paths import path_problem
from orc.scheduler.core.resolve.unseen_files import DeclaredFiles
from orc.scheduler.core.vector_files import vector_file_problem
from orc.scheduler.effects.contract import (
    OUTPUT_BYTES_MAX,
    PromptRequest,
    ValueRequest,
)
from orc.scheduler.effects.embed import EmbedRequest
from orc.scheduler.effects.targets import target_rules
from orc.scheduler.effects.tool_context import ToolContext
from orc.scheduler.executors.contract import (
    INHERITED,
    INPUTS_PLACE,
    PLACES,
    Place,
    Work,
    WorkFile,
    WorkLimits,
)
from orc.scheduler.executors.surroundings import local_environment
from orc.scheduler.folders.workspace import Workspace
from orc.scheduler.inputs.placed import StepInputs
from orc.scheduler.inputs.values import InputReads
from orc.scheduler.messages import (
    cached_prefix,
    find_file,
    known_replies,
    known_results,
    render_messages,
    render_text,
    render_texts,
)
from orc.scheduler.rendered_files import PathProblem, RenderedFile, render_file
from orc.scheduler.scopes import Scopes, StepViews, Variables, repetition_of
from orc.scheduler.step_environment import StepEnvironment, job_variables, render_command
from orc.worker.declared import INPUTS_FOLDER, Declared

EffectRequest = PromptRequest | EmbedRequest | Work | ValueRequest
"""What an attempt of a step is to do."""

_CACHED_VALUES_MAX = 256


class Renderer:
    """Renders the steps of one job; reads values that are blobs from the ledger."""

    def __init__(
        self,
        state: JobState,
        *,
        ledger: LedgerReader,
        workspace: Workspace,
        environment: Mapping[str, str],
        job_id: str,
        mask: Mask,
    ) -> None:
        # Makes the renderer of another state of the job.
        self.of = partial(
            Renderer, ledger=ledger, workspace=workspace, environment=environment, job_id=job_id,
            mask=mask,
        )  # fmt: skip
        self._state = state
        self.mask = mask
        self._ledger = ledger
        self._workspace = workspace
        self._environment = environment
        self.job_id = job_id
        self.target_rules = target_rules(environment, state.definition.servers)
        self._values: dict[str, Any] = {}
        self._spec_folders: dict[str, str] = {}
        self._upstream = Upstream(state)
        self._declared = DeclaredFiles()
        definition = state.definition
        self._views = StepViews(state, ledger=ledger, read=self._seen)
        self._reads = InputReads(definition, ledger, mask)
        self._scopes = Scopes(
            state,
            read=self.payload,
            views=self._views,
            reads=self._reads,
            base=job_variables(
                definition, self._reads, caller=environment, mask=mask, job_id=job_id
            ),
        )
        self._has_read = any(True for _ in definition.all_read())
        self._step_inputs = StepInputs(self._scopes, has_any=self._has_read)
        self.environment = StepEnvironment(
            state, caller=environment, scopes=self._scopes, job_id=job_id
        )

    def request(self, step_id: str) -> EffectRequest:
        """The request for the step's current attempt. Raises TemplateError."""
        definition = self._state.graph.steps[step_id]
        scope = self._scopes.inside(step_id)
        match definition.kind:
            case "prompt":
                return self._prompt(step_id, definition, scope)
            case "embed":
                return self._embedding(step_id, definition, scope)
            case "run":
                return self._command(step_id, definition, scope)
            case "python":
                return self._function(step_id, definition, scope)
            case "value":
                return ValueRequest(render_value(definition.value, scope))
            case "group" | "approval":
                raise AssertionError("groups and approvals have no effect to run")

    def scopes(self) -> Scopes:
        """The scopes of the job's steps."""
        return self._scopes

    def files(self, step_id: str) -> list[RenderedFile]:
        """The files that the spec's `files` writes. Raises TemplateError, or PathProblem."""
        definition = self._state.graph.steps[step_id]
        if not definition.files:
            return []
        scope = self._scopes.inside(step_id)
        found = [render_file(file, scope) for file in definition.files if file.path is not None]
        for file in found if definition.facts.embeds else ():
            if file.content is None and (problem := vector_file_problem(file.path)):
                raise PathProblem(problem)
        return found

    def declared(self, step_id: str) -> tuple[Declared, ...]:
        """The files to capture: their patterns. Raises TemplateError, or PathProblem."""
        files = self._state.graph.steps[step_id].files
        scope = self._scopes.inside(step_id)
        found = [
            Declared(to_text(parse_template(file.glob).render(scope)), file.required)
            for file in files
            if file.glob
        ]
        for entry in found:
            if path_problem(entry.glob, glob=True):
                raise PathProblem(path_problem(entry.glob, glob=True))
        return tuple(found)

    def inputs(self, step_id: str) -> dict[str, FileRef]:
        """The files of the steps that the step depends on, by their paths in its working folder."""
        prefix = f"{self._state.project}/"
        return {
            path.removeprefix(prefix): owned.file
            for path, owned in self._upstream.files(step_id).items()
        }

    def read_files(self, step_id: str) -> dict[str, FileRef]:
        """The files of the job's inputs that the step gets, by their paths in its working folder."""
        return self._step_inputs.files(step_id, self._state.graph.steps[step_id])

    def placed(self, step_id: str) -> dict[str, FileRef]:
        """All files that lie in the step's working folder at the start, by their paths there."""
        return self.inputs(step_id) | self.read_files(step_id)

    def folders(self, step_id: str) -> tuple[str, ...]:
        """The empty folders that these steps left, by their paths in the step's working folder."""
        prefix = f"{self._state.project}/"
        return tuple(path.removeprefix(prefix) for path in self._upstream.folders(step_id))

    def writer_of(self, path: str, *, except_for: str) -> str | None:
        """Another step that has written or will write a file; None if there is none."""
        owner = self._state.owned.step_of(f"{self._state.project}/{path}")
        if owner is not None and owner != except_for:
            return owner
        return self._declared.writer(path, steps=self._state.graph.steps, except_for=except_for)

    def tool_context(
        self, step_id: str, *, open_folder: Callable[[], Awaitable[None]]
    ) -> ToolContext:
        """The context in which the tools of the step's model run; see ToolContext."""
        definition = self._state.graph.steps[step_id]
        work = self._work(step_id, definition, self.environment.movable(step_id))
        places, secrets = self.places(step_id), self.environment.secrets(step_id)
        return ToolContext(
            env=local_environment(work, places, secrets, self._environment),
            secrets=definition.secrets,
            cwd=Path(places["work"]),
            log_path=Path(self.log_path(step_id)),
            import_dir=places["spec"],
            files=self.inputs(step_id),
            taken=partial(self._taken, step_id),
            read=lambda file: self._ledger.read_blob(file.sha256),
            open_folder=open_folder,
            limits=definition.limits,
        )

    def payload(self, payload: Payload | None) -> Any:
        """The value of a payload, with secrets masked. The last values read are cached.

        Values are masked again because some were recorded before a secret was declared.
        """
        if payload is not None and payload.parts is not None:
            return gathered_value(payload, self.payload)
        if payload is None or payload.sha256 is None:
            return None if payload is None else self.mask.value(payload.value)
        if payload.sha256 not in self._values:
            if len(self._values) >= _CACHED_VALUES_MAX:
                self._values.pop(next(iter(self._values)))
            self._values[payload.sha256] = self.mask.value(self._ledger.read_payload(payload))
        return self._values[payload.sha256]

    def item_value(self, step_id: str) -> Any:
        """The value of an item as it is stored."""
        return self._scopes.stored_item(step_id)

    def _seen(self, payload: Payload | None) -> Any:
        """The value of a payload as templates see it."""
        return self._reads.restored(self.payload(payload))

    def _prompt(self, step_id: str, definition: StepDef, scope: Variables) -> PromptRequest:
        def find(path: str) -> FileRef:
            return find_file(path, files=self._upstream.files(step_id), state=self._state)

        messages = render_messages(
            definition, scope=scope, find=find, ledger=self._ledger, mask=self.mask
        )
        request = Request(
            model="",
            messages=messages,
            system=None
            if definition.system is None
            else render_text(definition.system, scope=scope),
            params=_seeded(definition.params, repetition_of(self._state, step_id)),
            json_output=definition.format == "json",
            output_schema=definition.output_schema,
        )
        return self._asked(step_id, definition, request)

    def _embedding(self, step_id: str, definition: StepDef, scope: Variables) -> EmbedRequest:
        embed = definition.embed
        assert embed is not None
        params = {} if embed.dimensions is None else {"dimensions": embed.dimensions}
        request = Request(model="", messages=(), params=params, operation="embeddings")
        return EmbedRequest(
            self._asked(step_id, definition, request),
            texts=render_texts(embed, scope),
            per_request=embed.per_request,
            files=tuple(file.path for file in self.files(step_id) if file.content is None),
        )

    def _asked(self, step_id: str, definition: StepDef, request: Request) -> PromptRequest:
        """The request to the step's current target, and what is known of its earlier calls."""
        step = self._state.steps[step_id]
        target = self._state.target_of(step_id)
        assert target is not None
        silence_s = self._state.definition.silence_of(definition, target)
        longest_s = definition.facts.attempt_timeout_s or math.inf
        return PromptRequest(
            step=step_id,
            attempt=step.attempts,
            target=target,
            request=replace(
                request,
                model=target.model,
                cached=cached_prefix(definition, step_id, self._state.project),
                timeout_s=silence_s,
                step=step_id,
                ordinal=step.calls_recorded + 1,
                repetition=repetition_of(self._state, step_id),
            ),
            call=step.calls_ended + 1,
            known=known_replies(step, self.payload),
            known_results=known_results(step, self.payload),
            wants_json=definition.format == "json",
            repair=definition.repair,
            max_turns=definition.max_turns,
            attempt_timeout_s=definition.attempt_timeout_s or max(longest_s, silence_s),
            cache="off" if step.fresh else definition.cache,
            batched=None if step.batched is None else step.batched.request_sha256,
        )

    def _command(self, step_id: str, definition: StepDef, scope: Variables) -> Work:
        env = self.environment.movable(step_id)
        argv, values = render_command(definition.run or (), scope)
        return self._work(step_id, definition, env | values, argv=argv)

    def _function(self, step_id: str, definition: StepDef, scope: Variables) -> Work:
        assert definition.function is not None
        return self._work(
            step_id,
            definition,
            self.environment.movable(step_id),
            function=definition.function,
            args=render_value(definition.args, scope),
        )

    def _work(
        self,
        step_id: str,
        definition: StepDef,
        env: Mapping[str, str],
        *,
        argv: tuple[str, ...] = (),
        function: str = "",
        args: Mapping[str, Any] | None = None,
    ) -> Work:
        """The work of an attempt. What the scheduler does for it on this machine is left out: it lays
        out the files of a local step, and captures those that match."""
        limits, is_remote = definition.limits, definition.is_remote
        return Work(
            kind="function" if function else "command",
            argv=argv,
            function=function,
            args=args or {},
            env=env,
            places={**PLACES, **INPUTS_PLACE} if self._has_read else PLACES,
            folder=definition.folder if is_remote else "",
            cwd=definition.cwd,
            inherited=INHERITED,
            secrets=definition.secrets,
            inputs=tuple(
                WorkFile(path, file.sha256, file.size_bytes, file.mode)
                for path, file in (self.placed(step_id) if is_remote else {}).items()
            ),
            globs=self.declared(step_id) if is_remote else (),
            folders=self.folders(step_id) if is_remote else (),
            limits=WorkLimits(
                limits.file_bytes, limits.output_bytes or OUTPUT_BYTES_MAX, limits.log_bytes
            ),
            timeout_s=definition.timeout_s,
            resources=definition.resources_of(self._state.steps[step_id].attempts),
            labels=definition.labels,
            shipped=tuple(
                WorkFile(file.path, file.sha256, file.size_bytes, file.mode)
                for file in (self._state.definition.ship if is_remote else ())
            ),
        )

    def _taken(self, step_id: str) -> set[str]:
        prefix = f"{self._state.project}/"
        return {
            owned.file.path.removeprefix(prefix)
            for owned in self._state.owned
            if not may_replace(owned.step, step_id)
        }

    def places(self, step_id: str) -> dict[Place, str]:
        """The paths of the folders of the step's current attempt on this machine."""
        work, artifacts = self._workspace.attempt_paths(
            step_id,
            self._state.steps[step_id].attempts,
            shared=self._state.graph.steps[step_id].workspace,
        )
        places: dict[Place, str] = {
            "work": work,
            "artifacts": artifacts,
            "spec": self.spec_folder(step_id),
        }
        if self._has_read:
            places["inputs"] = f"{work}/{INPUTS_FOLDER}"
        return places

    def spec_folder(self, step_id: str) -> str:
        """The path of the folder of the file in which the step is written, on this machine."""
        submitted = self._state.submitted
        assert submitted is not None
        folder = self._state.graph.steps[step_id].folder
        if folder not in self._spec_folders:
            self._spec_folders[folder] = str(spec_folder(submitted, self._ledger.path) / folder)
        return self._spec_folders[folder]

    def log_path(self, step_id: str) -> str:
        """The file for the log of the step's current attempt."""
        return self._workspace.log_path(step_id, self._state.steps[step_id].attempts)


def _seeded(params: Mapping[str, Any], repetition: int) -> Mapping[str, Any]:
    """The parameters of a repetition: with the same seed, all replies could be the same."""
    seed = params.get("seed")
    if repetition == 1 or not isinstance(seed, int):
        return params
    return {**params, "seed": seed + repetition - 1}
