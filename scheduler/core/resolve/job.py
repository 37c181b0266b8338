"""Resolves a checked spec and the caller's settings into a `JobDef`.

The order of precedence is: command line, spec, environment, default. For the provider, the
environment comes before the spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from posixpath import dirname
from typing import Any

from msgspec.structs import replace

from orc.ledger.definition import (
    LOCAL,
    CircuitDef,
    FileDef,
    JobDef,
    RateDef,
    RetryDef,
    ShippedDef,
    StepDef,
    walk_steps,
)
from orc.ledger.digest import clean_json
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.kinds import Kind, facts_of
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.paths import folder_problem
from orc.scheduler.core.resolve.alike_steps import AlikeSteps
from orc.scheduler.core.resolve.early import EarlySettings, known_duration, step_def
from orc.scheduler.core.resolve.environment_numbers import environment_number
from orc.scheduler.core.resolve.flow import resolve_budget, resolve_doubt, resolve_flow
from orc.scheduler.core.resolve.hooks import resolve_hooks
from orc.scheduler.core.resolve.job_inputs import resolve_inputs, workflow_inputs
from orc.scheduler.core.resolve.placing import Placing, default_executor, executors_in
from orc.scheduler.core.resolve.prompt import ModelChoice, Settings
from orc.scheduler.core.resolve.reports import Reports
from orc.scheduler.core.resolve.servers import BROKEN, named_servers, resolve_servers, used_servers
from orc.scheduler.core.resolve.step_keys import has_files, limits_of, own_keys, required_of
from orc.scheduler.core.resolve.targets import near_provider
from orc.scheduler.core.resolve.whole_job import problems_of_whole
from orc.scheduler.core.resolve.workflow import read_workflow
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.spec.beside import beside
from orc.scheduler.core.spec.flow import RetrySpec
from orc.scheduler.core.spec.model import StepSpec, kind_of
from orc.scheduler.core.spec.parse import Spec, examine
from orc.scheduler.core.spec.references import needs_of

JITTER = 0.1
CIRCUIT = CircuitDef()


def build_job(text: str, *, source_name: str, settings: Settings) -> tuple[Spec, JobDef]:
    """Parse the spec in the text and resolve it under the settings.

    Raises SpecError with all problems of the spec and the settings.
    """
    spec, problems = examine(
        text,
        source_name=source_name,
        read_text=settings.read_text,
        read_template=settings.read_template,
    )
    resolver = _Resolver(spec, settings)
    definition = resolver.job()
    rules = resolver.settings.target_rules
    for problem in problems_of_whole(spec, definition, rules, settings.rows_of):
        if problem not in resolver.problems:
            resolver.problems.append(problem)
    if problems or resolver.problems:
        raise SpecError(source_name, [*problems, *resolver.problems])
    return spec, definition


class _Resolver:
    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        chain: tuple[str, ...] = (),
        secrets: tuple[str, ...] = (),
        executor: str | None = None,
        around: frozenset[str] = frozenset(),
    ) -> None:
        self.chain = chain
        self.around = around
        self.settings = settings
        self._report = Reports(spec.document)
        self.problems = self._report.problems
        self._retries: dict[str, RetryDef] = {}  # of steps without `retry`, by their kind
        self._alike = AlikeSteps(settings.executors, self.problems)
        self.environment = settings.environment
        self.spec = spec
        self.inputs: dict[str, Any] = {}
        self.read: dict[str, ReadInput] = {}
        if not chain:
            self.inputs, self.read = resolve_inputs(
                spec.job.inputs, settings, beside("", spec.folder_of("inputs")), report=self._report
            )
        self._add_servers()
        settings = self.settings
        self.early = EarlySettings(settings, report=self._report)
        if not chain:
            # The values of a workflow's inputs are known when its steps are ready.
            self.spec = spec = self.early.of_job(spec, self.inputs)
        self.secrets = (*secrets, *spec.job.secrets)
        file = dirname(chain[-1]) if chain else ""
        self.folder = folder = beside(file, spec.folder_of("steps"))
        self.shipped = [beside(file, spec.folder_of("ship"), name) for name in spec.job.ship]
        self.models = ModelChoice(
            spec,
            replace(settings, take_file=lambda name: settings.take_file(beside(folder, name))),
            report=self._report,
        )
        executor = default_executor(spec.job, executor)
        self.placing = Placing(settings, executor, report=self._report)

    def job(self) -> JobDef:
        job = self.spec.job
        concurrency = {"total": job.concurrency.total, **(job.concurrency.model_extra or {})}
        steps = self._steps(self.spec.steps, ("steps",))
        providers = self.settings.target_rules.providers
        resolved = steps if self.chain else self.early.of_steps(steps)
        servers = used_servers(resolved, {self.models.real_provider}, self.settings.servers)
        limits = {name: s.concurrency for name, s in servers.items() if s.concurrency is not None}
        rates = {name: server.rate for name, server in servers.items() if server.rate is not None}
        asks_model = any(step.facts.calls_model for step in walk_steps(steps))
        others = set(concurrency) - {"total", *providers}
        # The names of the machine's executors are in a file, which is read only where one is meant.
        named = self.settings.executor_names if others else None
        executors = {*executors_in(steps), self.placing.default, *(named or ())}
        for name in sorted(others - (executors - {LOCAL})):
            hint = near_provider(name, providers, *filter(None, executors))
            message = f"concurrency.{name}: there is no provider or executor {name!r}{hint}"
            if name == LOCAL:
                message = f"concurrency.{name}: the limit of the executor `local` is `total`"
            self._report(message, "concurrency", name)
        for name in sorted(set(job.rate) - set(providers)):
            hint = near_provider(name, providers)
            self._report(f"rate.{name}: there is no provider {name!r}{hint}", "rate", name)
        self.placing.check_given(steps)
        output_dir = self.settings.output_dir or self._expanded(job.output_dir)
        if output_dir is not None and not output_dir.startswith("/"):
            output_dir = f"{self.settings.submit_dir.rstrip('/')}/{output_dir}"
        if output_dir is not None and (reason := folder_problem(output_dir)):
            self._report(f"output_dir: {reason}", "output_dir")
        return JobDef(
            project=job.project,
            task_description=job.task_description,
            provider=self.models.provider,
            model=self.models.model,
            concurrency={**limits, **concurrency},
            rate=rates | {name: RateDef(**rate.model_dump()) for name, rate in job.rate.items()},
            servers={name: server.definition for name, server in servers.items()},
            circuit=self._circuit(),
            timeout_s=known_duration(job.timeout) if job.timeout is not None else job.timeout_s,
            silence_s=self._env_number("TIMEOUT_S", None) if asks_model else None,
            budget=resolve_budget(job.budget),
            output_dir=output_dir,
            keep_work=job.keep_work,
            ship=self._ship(),
            env=job.env,
            tags=tuple(dict.fromkeys((*job.tags, *self.settings.tags))),
            inputs=self.inputs,
            read=self.read,
            hooks=resolve_hooks(job, folder=self.spec.folder_of("hooks")),
            steps=resolved,
        )

    def _add_servers(self) -> None:
        """Let the steps name the servers of this spec. Those of the specs around it come first."""
        own, problems = resolve_servers(
            self.spec.job.servers, self.settings.servers, self.settings.providers
        )
        for name, key, reason in problems:
            path = ("servers", name, *key.split(".", 1)) if key else ("servers", name)
            self._report(f"{dotted(path)}: {reason}", *path)
        outer = self.settings.servers
        around = {n: s for n, s in outer.items() if self.chain and n in self.around}
        self.around = self.around | own.keys()
        # A step that names a server with a mistake has no mistake of its own.
        broken = dict.fromkeys(named_servers(self.spec.document.value) - own.keys(), BROKEN)
        self.settings = replace(self.settings, servers={**outer, **broken, **own, **around})

    def _steps(
        self, steps: Mapping[str, StepSpec], base: Path, workspace: str | None = None
    ) -> tuple[StepDef, ...]:
        """The definitions of steps; `workspace` is that of the group around them."""
        found = []
        for step_id, step in steps.items():
            if kind_of(step) is not None:
                group, needs = step.workspace or workspace, needs_of(step_id, step, steps)
                make = partial(self._step, step_id, step, needs, base, group)
                found.append(self._alike.define(step_id, step, needs, group, make))
        return tuple(found)

    def _step(
        self,
        step_id: str,
        step: StepSpec,
        needs: tuple[str, ...],
        base: Path,
        workspace: str | None,
    ) -> StepDef:
        path = (*base, step_id)
        defaults = self.spec.job.defaults
        kind = kind_of(step)
        facts = facts_of(kind)
        tolerant = step.continue_on_error
        common: dict[str, Any] = {
            "id": step_id,
            "kind": kind,
            "needs": needs,
            **resolve_flow(step),
            "files": tuple(
                FileDef(
                    path=file.path,
                    content=file.content,
                    glob=file.glob,
                    required=required_of(file, is_strict=self.settings.is_strict),
                )
                for file in step.files
            ),
            "format": step.output.format if step.output else "text",
            "retry": self._retry(step, facts),
            "retry_on": tuple(step.retry_on or defaults.retry_on or facts.retry_on),
            "timeout_s": step.timeout or defaults.timeout,
            "total_timeout_s": step.total_timeout or defaults.total_timeout,
            "continue_on_error": bool(defaults.continue_on_error if tolerant is None else tolerant),
        }
        if facts.does_work:
            common["on_unknown"] = resolve_doubt(step, defaults)
        if not (facts.is_container or facts.asks_person):
            common["limits"] = limits_of(step, defaults)
        if facts.runs_code or step.tools:
            common["workspace"] = workspace
            common["secrets"] = tuple(dict.fromkeys((*self.secrets, *step.secrets)))
        if facts.runs_code or step.tools or has_files(step):
            common["folder"] = self.folder
        # Secrets of the specs around a workflow count too; the key would not contain their values.
        cache = "off" if common.get("secrets") else step.cache or "off"
        if step.output is not None:
            common["output_schema"] = step.output.json_schema
        if facts.calls_model:
            if step.output is not None:
                common["repair"] = step.output.repair
            common["attempt_timeout_s"] = step.attempt_timeout or defaults.attempt_timeout
            common["wait_for_server_s"] = step.wait_for_server or defaults.wait_for_server
            params = {} if facts.embeds else self._params(step)
            targets = (self.models.embedding if facts.embeds else self.models.prompt)(path, step)
            return step_def(common, {**targets, "params": params})
        if step.workflow is not None:
            return step_def(common, self._workflow(step, path, workspace))
        if facts.is_container:
            inside = self._steps(step.steps or {}, (*path, "steps"), workspace)
            return step_def(common, {"steps": inside})
        if facts.runs_code:
            common |= self.placing.fields(
                step_id, step, path, workspace=workspace, folder=self.folder
            )
            work = {
                "run": tuple(step.run) if isinstance(step.run, list) else step.run,
                "function": step.python,
                "args": step.args or {},
                "env": {**(defaults.env or {}), **(step.env or {})},
                "cwd": step.cwd or defaults.cwd or "work",
                "cache": cache,
            }
            return step_def(common, work)
        return step_def(common, own_keys(step, facts, known=common))

    def _workflow(self, step: StepSpec, path: Path, workspace: str | None) -> dict[str, Any]:
        workflow, problems = read_workflow(
            step, self.spec.job, self.settings, chain=self.chain, folder=self.folder
        )
        for problem in problems:
            self._report(f"{dotted(path)}.workflow: {problem}", *path, "workflow")
        if workflow is None:
            return {}
        inner = _Resolver(
            workflow.spec,
            workflow.settings,
            workflow.chain,
            self.secrets,
            self.placing.default,
            self.around,
        )
        steps = inner.members(workspace)
        # The job records them by name, so that two workflows share a server that both define.
        servers = {**inner.settings.servers, **self.settings.servers}
        self.settings = replace(self.settings, servers=servers)
        self.shipped += inner.shipped
        for found in inner.problems:
            said = found.line_in(workflow.chain[-1])
            self._report(f"{dotted(path)}.workflow: {said}", *path, "workflow")
        inputs, read, reasons = workflow_inputs(
            workflow.spec.job.inputs,
            {} if step.with_ is None else step.with_,
            self.settings,
            outer=self.folder,
            inner=beside(dirname(workflow.chain[-1]), workflow.spec.folder_of("inputs")),
        )
        for reason in reasons:
            self._report(f"{dotted(path)}.{reason}", *path, "workflow")
        return {"steps": steps, "inputs": inputs, "read": read, "env": workflow.spec.job.env}

    def _expanded(self, output_dir: str | None) -> str | None:
        try:
            return None if output_dir is None else self.settings.expand(output_dir)
        except ValueError as error:
            self._report(f"output_dir: {error}", "output_dir")
            return None

    def _ship(self) -> tuple[ShippedDef, ...]:
        """The files that travel with the job: those that the spec and its workflows name."""
        outside = [name for name in self.shipped if name.startswith(("..", "/"))]
        if not self.shipped:
            return ()
        try:
            if outside:
                raise ValueError(f"{outside[0]} is outside of the spec's folder; move it there")
            return self.settings.ship(tuple(dict.fromkeys(self.shipped)))
        except ValueError as error:
            self._report(f"ship: {error}", "ship")
            return ()

    def members(self, workspace: str | None) -> tuple[StepDef, ...]:
        """The steps of a workflow. Each command gets the workflow's environment."""
        env = self.spec.job.env
        return tuple(
            replace(step, env={**env, **step.env}) if step.facts.runs_code else step
            for step in self._steps(self.spec.steps, ("steps",), workspace)
        )

    def _params(self, step: StepSpec) -> dict[str, Any]:
        job = self.spec.job
        found: dict[str, Any] = {}
        for name, variable, convert in (
            ("temperature", "TEMPERATURE", float),
            ("top_p", "TOP_P", float),
            ("max_tokens", "MAX_TOKENS", int),
        ):
            if self.environment.get(variable):
                value = self._env_number(variable, None)
                found[name] = None if value is None else convert(value)
        for params in (job.params, job.defaults.params, step.params):
            if params is not None:
                found.update(params.model_dump(exclude_unset=True))
        return {name: clean_json(value) for name, value in found.items() if value is not None}

    def _circuit(self) -> CircuitDef:
        threshold = self._env_number("CB_THRESHOLD", CIRCUIT.threshold)
        cooldown_s = self._env_number("CB_COOLDOWN_S", CIRCUIT.cooldown_s)
        return CircuitDef(threshold=int(threshold or 0), cooldown_s=cooldown_s or 0.0)

    def _retry(self, step: StepSpec, facts: Kind) -> RetryDef:
        if step.retry is None and facts.name in self._retries:
            return self._retries[facts.name]
        spec = step.retry or self.spec.job.defaults.retry
        jitter = self._env_number("JITTER", JITTER)
        if spec is None:
            attempts: float | None = facts.attempts
            if facts.calls_model:
                attempts = self._env_number("MAX_RETRIES", attempts)
            spec = RetrySpec.model_construct(max_attempts=max(1, int(attempts or 1)))
        found = RetryDef(
            max_attempts=spec.max_attempts,
            backoff=spec.backoff,
            initial_s=spec.initial,
            max_s=spec.max if "max" in spec.model_fields_set else max(spec.max, spec.initial),
            jitter=spec.jitter if spec.jitter is not None else jitter or 0.0,
        )
        if step.retry is None:
            self._retries[facts.name] = found
        return found

    def _env_number(self, name: str, default: float | None) -> float | None:
        try:
            value = environment_number(self.environment, name)
        except ValueError as error:
            if not any(found.message == str(error) for found in self.problems):
                self._report(str(error))
            return default
        return default if value is None else value
