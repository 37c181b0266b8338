"""From a checked spec and the caller's settings to the `JobDef` that runs.

Settings count in this order: command line, spec, environment, default; for
the provider the environment comes before the spec.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger.digest import clean_json
from ledger.events import FailureKind
from scheduler.core.checks import input_problem, kind_of
from scheduler.core.errors import Problem, SpecError, nearest
from scheduler.core.references import needs_of
from scheduler.core.resolved import REPLAY, FileDef, JobDef, MessageDef, RetryDef, StepDef
from scheduler.core.spec import Spec, examine
from scheduler.core.spec_model import InputSpec, ParamsSpec, RetrySpec, StepSpec

PROMPT_RETRY_ON: tuple[FailureKind, ...] = (
    "rate_limit",
    "timeout",
    "connection",
    "server_error",
    "protocol",
)
PROMPT_ATTEMPTS = 3
PROMPT_TIMEOUT_S = 120.0
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """What has to be known of a provider to check a spec; `ready` is false until it is built."""

    default_model: str
    model_variables: tuple[str, ...]
    ready: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """What surrounds a spec: the environment, the command line, and the providers there are.

    `inputs` are texts from the command line, or JSON values from Python.
    `submit_dir` is absolute.
    """

    providers: Mapping[str, ProviderFacts]
    environment: Mapping[str, str] = field(default_factory=dict)
    provider: str | None = None
    model: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    submit_dir: str = "/"


def build_job(text: str, *, source_name: str, settings: Settings) -> tuple[Spec, JobDef]:
    """The spec in the text, and the job that it stands for under the settings.

    Raises SpecError with every problem found in either.
    """
    spec, problems = examine(text, source_name=source_name)
    resolver = _Resolver(spec, settings)
    definition = resolver.job()
    if problems or resolver.problems:
        raise SpecError(source_name, [*problems, *resolver.problems])
    return spec, definition


class _Resolver:
    def __init__(self, spec: Spec, settings: Settings) -> None:
        self.spec = spec
        self.settings = settings
        self.problems: list[Problem] = []
        self.environment = settings.environment
        self.switched = (
            settings.provider
            or settings.environment.get("PROVIDER")
            or settings.environment.get("MODEL_BACKEND")
            or ""
        )
        self.replayed = self.switched.partition("/")[0] == REPLAY
        self.provider, self.model = self._job_provider()

    def job(self) -> JobDef:
        job = self.spec.job
        inputs = self._inputs()
        concurrency = {"total": job.concurrency.total, **(job.concurrency.model_extra or {})}
        for name in concurrency:
            if name != "total" and name not in self.settings.providers:
                hint = nearest(name, self.settings.providers)
                self._report(
                    f"concurrency: there is no provider {name!r}{hint}", "concurrency", name
                )
        output_dir = job.output_dir
        if output_dir is not None and not output_dir.startswith("/"):
            output_dir = f"{self.settings.submit_dir.rstrip('/')}/{output_dir}"
        steps = tuple(
            self._step(step_id, step)
            for step_id, step in self.spec.steps.items()
            if kind_of(step) is not None
        )
        return JobDef(
            project=job.project,
            task_description=job.task_description,
            provider=self.provider,
            model=self.model,
            concurrency=concurrency,
            timeout_s=job.timeout if job.timeout is not None else job.timeout_s,
            output_dir=output_dir,
            env=job.env,
            inputs=inputs,
            steps=steps,
        )

    def _job_provider(self) -> tuple[str, str]:
        """The job-level provider and model; a switched provider drops the spec's model."""
        job = self.spec.job
        from_spec = job.provider or job.defaults.provider or "ollama"
        named = "" if self.replayed else self.switched
        name, _, model = (named or from_spec).partition("/")
        if not self.replayed:
            self._check_provider(name, None if named else "provider")
        spec_name, _, spec_model = from_spec.partition("/")
        own_model = job.model or job.defaults.model or spec_model if name == spec_name else ""
        model = self.settings.model or model or own_model or self._default_model(name)
        return (REPLAY if self.replayed else name), model

    def _default_model(self, provider: str) -> str:
        facts = self.settings.providers.get(provider)
        if facts is None:
            return "unknown"
        for variable in facts.model_variables:
            if self.environment.get(variable):
                return self.environment[variable]
        return facts.default_model

    def _check_provider(self, name: str, *path: str | None) -> None:
        facts = self.settings.providers.get(name)
        place = [part for part in path if part is not None]
        if facts is None:
            hint = nearest(name, self.settings.providers)
            self._report(f"provider: there is no provider {name!r}{hint}", *place)
        elif not facts.ready and not self.replayed:
            ready = ", ".join(key for key, found in self.settings.providers.items() if found.ready)
            self._report(
                f"provider: {name!r} is not supported yet by this version of orc; it has {ready}; "
                "recorded replies run with --provider replay",
                *place,
            )

    def _step(self, step_id: str, step: StepSpec) -> StepDef:
        defaults = self.spec.job.defaults
        kind = kind_of(step)
        is_prompt = kind == "prompt"
        tolerant = step.continue_on_error
        timeout_s = step.timeout or defaults.timeout
        common: dict[str, Any] = {
            "id": step_id,
            "kind": kind,
            "needs": needs_of(step_id, step, self.spec.steps),
            "files": tuple(
                FileDef(path=file.path, content=file.content, glob=file.glob) for file in step.files
            ),
            "format": step.output.format if step.output else "text",
            "retry": self._retry(step, is_prompt=is_prompt),
            "retry_on": self._retry_on(step, is_prompt=is_prompt),
            "timeout_s": timeout_s
            or (self._env_number("TIMEOUT_S", PROMPT_TIMEOUT_S) if is_prompt else None),
            "total_timeout_s": step.total_timeout or defaults.total_timeout,
            "continue_on_error": defaults.continue_on_error if tolerant is None else tolerant,
        }
        common["continue_on_error"] = bool(common["continue_on_error"])
        if is_prompt:
            return StepDef(**common, **self._prompt(step_id, step))
        if kind == "run":
            run = step.run if isinstance(step.run, str) else tuple(step.run or ())
            return StepDef(**common, run=run, env={**(defaults.env or {}), **(step.env or {})})
        if kind == "python":
            env = {**(defaults.env or {}), **(step.env or {})}
            return StepDef(**common, function=step.python, args=step.args or {}, env=env)
        return StepDef(**common, value=step.value)

    def _prompt(self, step_id: str, step: StepSpec) -> dict[str, Any]:
        defaults = self.spec.job.defaults
        # A provider named under `defaults` is the job-level one, by another name.
        provider, model = self.provider, self.model
        if step.provider is not None:
            provider, _, own_model = step.provider.partition("/")
            self._check_provider(provider, "steps", step_id, "provider")
            if provider != self.provider or own_model:
                model = own_model or self._default_model(provider)
        if step.model is not None:
            model = step.model
        if self.replayed:
            provider = REPLAY
        messages = [MessageDef(role=m.role, content=m.content) for m in step.messages or ()]
        if step.prompt is not None:
            messages = [MessageDef(role="user", content=step.prompt)]
        return {
            "provider": provider,
            "model": model,
            "params": self._params(step),
            "system": step.system if step.system is not None else defaults.system,
            "messages": tuple(messages),
        }

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
                found.update(_given(params))
        return {name: value for name, value in found.items() if value is not None}

    def _retry(self, step: StepSpec, *, is_prompt: bool) -> RetryDef:
        spec = step.retry or self.spec.job.defaults.retry
        jitter = self._env_number("JITTER", JITTER)
        if spec is None:
            attempts = self._env_number("MAX_RETRIES", PROMPT_ATTEMPTS) if is_prompt else 1
            spec = RetrySpec(max_attempts=max(1, int(attempts or 1)))
        return RetryDef(
            max_attempts=spec.max_attempts,
            backoff=spec.backoff,
            initial_s=spec.initial,
            max_s=spec.max,
            jitter=spec.jitter if spec.jitter is not None else min(max(jitter or 0.0, 0.0), 1.0),
        )

    def _retry_on(self, step: StepSpec, *, is_prompt: bool) -> tuple[FailureKind, ...]:
        named = step.retry_on if step.retry_on is not None else self.spec.job.defaults.retry_on
        if named is not None:
            return tuple(named)
        return PROMPT_RETRY_ON if is_prompt else ()

    def _inputs(self) -> dict[str, Any]:
        declared = self.spec.job.inputs
        values: dict[str, Any] = {}
        for name in self.settings.inputs:
            if name not in declared:
                self._report(f"-i {name}: the spec has no such input{nearest(name, declared)}")
        for name, spec in declared.items():
            if name in self.settings.inputs:
                values[name] = self._given_input(name, spec, self.settings.inputs[name])
            elif spec.required is True or (spec.required is None and spec.default is None):
                about = f" ({spec.description})" if spec.description else ""
                self._report(
                    f"inputs.{name}: a value is required{about}: -i {name}=VALUE", "inputs", name
                )
            else:
                values[name] = spec.default
        return values

    def _given_input(self, name: str, spec: InputSpec, given: Any) -> Any:
        value = given = clean_json(given)
        if isinstance(given, str) and spec.type != "string":
            try:
                value = json.loads(given)
            except ValueError:
                value = given
        value = clean_json(value)
        reason = input_problem(value, spec.type, spec.enum)
        if reason:
            self._report(f"-i {name}: {reason}")
        return value

    def _env_number(self, name: str, default: float | None) -> float | None:
        text = self.environment.get(name)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e9:
            message = (
                f"the environment variable {name} must be a number from 0 on; got {text[:40]!r}"
            )
            if not any(found.message == message for found in self.problems):
                self._report(message)
            return default
        return value

    def _report(self, message: str, *path: str | int) -> None:
        self.problems.append(self.spec.problem(message, *path) if path else Problem(message))


def _given(params: ParamsSpec) -> dict[str, Any]:
    return params.model_dump(exclude_unset=True)
