"""Looks up the result of a command or function by a key before it runs, and reuses it.

The key is a digest of the rendered step and of the files that it probably reads: the files of
its upstream steps, the file of its Python module, and the files that its command names under
$ORC_SPEC_DIR. Other inputs are not part of the key; therefore only a step's own `cache:` turns
this on. The stored results are left to the ResultCache.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec.structs import replace

from orc.ledger import Recorded
from orc.ledger.definition import CacheScope, StepDef
from orc.ledger.digest import Digest, digest_bytes, digest_json
from orc.ledger.errors import RemovedBlob
from orc.ledger.events import Payload, StepReused
from orc.ledger.scarcity import raise_shortage
from orc.ledger.stored_struct import dump
from orc.ledger.values import CachedResult
from orc.scheduler.core.commands import FailStep, ReuseStep, StartAttempt
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.compare import EXECUTION_FIELDS
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.replayed import fold_events
from orc.scheduler.core.language.names import EACH
from orc.scheduler.core.language.templates import texts_in
from orc.scheduler.core.rules.files import can_own
from orc.scheduler.core.shell.insertion import parse_shell
from orc.scheduler.effects.contract import PromptRequest, ValueRequest
from orc.scheduler.effects.embed import EmbedRequest
from orc.scheduler.executors.contract import Work
from orc.scheduler.guard import failure_between_turns
from orc.scheduler.rendered_files import PathProblem
from orc.scheduler.rendering import EffectRequest, Renderer
from orc.scheduler.scopes import repetition_of
from orc.worker.declared import find_absent, folders_around

Moment = tuple[str, int]
"""A job, and the version of the first event in it that does not count."""
RendererOf = Callable[[JobState], Renderer]
"""A renderer for another state of the same job."""

_PLACE = re.compile(rf"\b{EACH}\b")
_IN_SPEC_DIR = re.compile(r"\$(?:ORC_SPEC_DIR|\{ORC_SPEC_DIR\})\"?/([A-Za-z0-9_./-]+)")


class ResultCache(Protocol):
    """The results of steps in the ledger, by their keys."""

    def find(self, key: Digest, *, scope: CacheScope) -> CachedResult | None:
        """A result with that key, if all its blobs are in the ledger."""

    def find_item(
        self, step: str, item: str, value: Any, read: Callable[[Payload], Any]
    ) -> CachedResult | None:
        """The result that an item of the step had before an amendment, if it has the same value."""

    def find_inside(self, root: str, step: str) -> tuple[Moment, CachedResult] | None:
        """The result of a step in an item of `root` before an amendment, or before the fork."""

    def events_before(self, moment: Moment) -> Iterable[Recorded]:
        """The events of that job before that version."""

    def read(self, payload: Payload) -> Any:
        """The value of a payload. Raises LedgerError."""


class ResultReuse:
    """Decides for the ready steps of one job whether they run or reuse a result."""

    def __init__(
        self,
        state: JobState,
        renderer: Renderer,
        cache: ResultCache | None,
        render_for: RendererOf | None = None,
    ) -> None:
        self._state = state
        self._renderer = renderer
        self._cache = cache
        self._render_for = render_for
        self._before: dict[Moment, tuple[JobState, Renderer]] = {}

    def first_command(self, step_id: str, now: float) -> StartAttempt | ReuseStep | FailStep:
        """The command for a ready step: start an attempt, or reuse a result.

        An exception fails the step, unless it concerns the whole job (`guard.py`).
        """
        try:
            return self._first_command(step_id, now)
        except Exception as error:
            mask = self._renderer.mask
            return FailStep(step_id, failure_between_turns(error, "look up its result", mask))

    def of_item(self, step_id: str) -> ReuseStep | None:
        """The command for an item that an amendment did not change; None for any other step."""
        parent = self._state.steps[step_id].parent
        if parent is None or self._cache is None or not self._state.steps[parent].keeps_values:
            return None
        definition = self._state.graph.written(parent)
        if any(_PLACE.search(text) for text in texts_in(dump(definition))):
            return None
        value = self._renderer.item_value(step_id)
        found = self._cache.find_item(parent, step_id, value, self._renderer.payload)
        return None if found is None else self._as_before(step_id, found)

    def of_same_work(self, step_id: str) -> ReuseStep | None:
        """The command for a step in an item if its work is the same as before an amendment.

        Or, in a fork, as in the job that was forked. The step has no steps inside. What its templates
        give, and its files, are compared, so that other items may have changed, and the steps before.
        """
        root = self._state.keeper_of(step_id)
        if root is None or self._cache is None or self._render_for is None:
            return None
        found = self._cache.find_inside(root, step_id)
        if found is None:
            return None
        moment, result = found
        if moment not in self._before:
            before = fold_events(self._cache.events_before(moment), self._cache.read)
            assert before is not None
            self._before[moment] = before, self._render_for(before)
        try:
            now = _work_of(self._state, self._renderer, step_id)
            is_same = now is not None and now == _work_of(*self._before[moment], step_id)
        except (TemplateError, PathProblem, OSError, RemovedBlob):
            return None
        if not is_same:
            return None
        is_own = moment[0] == self._renderer.job_id
        return self._as_before(step_id, result, reason="amend" if is_own else "fork")

    def _as_before(
        self, step_id: str, found: CachedResult, *, reason: Literal["amend", "fork"] = "amend"
    ) -> ReuseStep | None:
        if not self._may_use(step_id, found):
            return None
        fields = {name: getattr(found, name) for name in CachedResult.__struct_fields__}
        return ReuseStep(StepReused(step=step_id, reason=reason, **fields))

    def _first_command(self, step_id: str, now: float) -> StartAttempt | ReuseStep:
        definition = self._state.graph.steps[step_id]
        if not definition.has_result_key:
            return StartAttempt(step_id, now)
        key = self._key(step_id, definition)
        if key is None or self._cache is None or self._state.steps[step_id].fresh:
            return StartAttempt(step_id, now, key)
        found = self._cache.find(key, scope=definition.cache)
        if found is None or not self._may_use(step_id, found):
            return StartAttempt(step_id, now, key)
        fields = {name: getattr(found, name) for name in CachedResult.__struct_fields__}
        return ReuseStep(StepReused(step=step_id, reason="cache", **fields))

    def _may_use(self, step_id: str, found: CachedResult) -> bool:
        """Whether the result fits in here, and has the files that the step declares.

        An earlier version of orc, or a step that declares less, may have left it.
        """
        folders = found.folders or ()
        if not can_own(self._state, step_id, found.files, folders):
            return False
        prefix = f"{self._state.project}/"
        files = {file.path.removeprefix(prefix) for file in found.files}
        files |= self._renderer.inputs(step_id).keys()
        here = {folder.removeprefix(prefix) for folder in folders}
        here |= {folder for path in (*files, *here) for folder in folders_around(path)}
        return not find_absent(self._renderer.declared(step_id), files, here).failing

    def _key(self, step_id: str, definition: StepDef) -> Digest | None:
        """The step's key. None if the step cannot be rendered: its attempt then fails and says why.

        None too if the machine has no free descriptors to read the step's sources.
        """
        try:
            return self._compute_key(step_id, definition)
        except (TemplateError, PathProblem, OSError):
            return None

    def _compute_key(self, step_id: str, definition: StepDef) -> Digest | None:
        request = self._renderer.request(step_id)
        files = self._renderer.files(step_id)
        globs = [entry.glob for entry in self._renderer.declared(step_id)]
        env = self._renderer.environment.named(step_id)
        work: dict[str, Any] = {
            "version": 1,
            "project": self._state.project,
            "env": env,
            "files": [[file.path, file.content] for file in files],
            "globs": globs,
            "format": definition.format,
            "schema": definition.output_schema,
            "inputs": self._inputs(step_id),
        }
        read = self._renderer.read_files(step_id)
        if read:
            work["read"] = {path: file.sha256 for path, file in read.items()}
        repetition = repetition_of(self._state, step_id)
        if repetition > 1:
            work["repetition"] = repetition
        if self._renderer.folders(step_id):
            work["folders"] = self._renderer.folders(step_id)
        match request:
            case Work(kind="command"):
                work["argv"] = request.argv
                work["variables"] = {name: request.env[name] for name in _variables(definition)}
                named = _IN_SPEC_DIR.findall("\n".join(request.argv))
                work["sources"] = self._sources(step_id, named)
            case Work():
                work["function"] = request.function
                work["args"] = request.args
                work["sources"] = self._sources(step_id, _module_files(request.function))
            case _:
                return None
        return digest_json(work)

    def _inputs(self, step_id: str) -> dict[str, str]:
        """The files that the step gets, with their digests and modes."""
        prefix = f"{self._state.project}/"
        return {
            f"{prefix}{path}": file.sha256 if file.mode is None else f"{file.sha256} {file.mode}"
            for path, file in self._renderer.inputs(step_id).items()
        }

    def _sources(self, step_id: str, names: list[str]) -> dict[str, Digest]:
        """The digests of the named files that exist in the folder of the step's spec."""
        folder = Path(self._renderer.spec_folder(step_id))
        found = {}
        for name in names:
            path = folder / name
            # Regular files only: reading a pipe would block.
            if path.is_file():
                try:
                    found[name] = digest_bytes(path.read_bytes())
                except OSError as error:
                    raise_shortage(error)
        return found


def _work_of(state: JobState, renderer: Renderer, step_id: str) -> Any:
    """What determines the result of a step, for a comparison; None if that is not known."""
    definition = state.graph.steps[step_id]
    if definition.workspace is not None or definition.shape is not None:
        return None
    settings = state.graph.settings_of(step_id) or {}
    files = [(file.path, file.content) for file in renderer.files(step_id)]
    has_files = definition.facts.runs_code or definition.tools
    placed = renderer.placed(step_id) if has_files else {}
    return (
        {name: value for name, value in settings.items() if name not in EXECUTION_FIELDS},
        files,
        renderer.declared(step_id),
        {path: (file.sha256, file.mode) for path, file in placed.items()},
        _asked(renderer.request(step_id)),
    )


def _asked(request: EffectRequest) -> Any:
    """The request without what differs between attempts, and without how it is performed."""
    match request:
        case PromptRequest():
            # The model may be that of a fallback; the definition and the settings are compared.
            return replace(request.request, model="", ordinal=1, timeout_s=0.0)
        case EmbedRequest():
            return (request.texts, request.ask.request.params)
        case Work():
            env = {name: text for name, text in request.env.items() if name != "ORC_ATTEMPT"}
            return (request.argv, request.function, request.args, env, request.folders)
        case ValueRequest():
            return request.value


def _variables(definition: StepDef) -> list[str]:
    """The names of the environment variables that pass template values to a shell script."""
    if not isinstance(definition.run, str):
        return []
    return [name for name, _ in parse_shell(definition.run).variables]


def _module_files(function: str) -> list[str]:
    module = function.partition(":")[0].replace(".", "/")
    return [f"{module}.py", f"{module}/__init__.py"]
