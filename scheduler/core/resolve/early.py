"""Renders what is known at submission: keys of the job, and settings of steps that name inputs only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from orc.ledger.definition import StepDef
from orc.ledger.stored_struct import load
from orc.scheduler.core.durations import parse_duration
from orc.scheduler.core.errors import TemplateError, shown_value
from orc.scheduler.core.language.templates import parse_template, texts_in
from orc.scheduler.core.language.values import to_text
from orc.scheduler.core.resolve.prompt import Report, Settings
from orc.scheduler.core.resolve.settings import BadSetting, is_known, render_early
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.spec.base import TemplateText
from orc.scheduler.core.spec.parse import Spec

_TEXTS_OF_JOB = ("task_description", "provider", "model", "base_url")
_TEXTS_OF_DEFAULTS = ("provider", "model")
_SETTINGS = ("timeout_s", "attempt_timeout_s", "total_timeout_s", "output_schema")


class EarlySettings:
    """Renders the templates of one submitted spec that are known, and reports their problems."""

    def __init__(self, settings: Settings, *, report: Report) -> None:
        self._rules = settings.target_rules
        self._report = report
        self._scope: dict[str, Any] = {}

    def of_job(self, spec: Spec, inputs: Mapping[str, Any]) -> Spec:
        """The spec with the keys of the job rendered. A value of an input that is missing is left."""
        job = spec.job
        self._scope = {
            "project": job.project,
            "inputs": inputs,
            "env": {name: text for name, text in job.env.items() if text is not None},
        }
        changes: dict[str, Any] = self._texts(job, _TEXTS_OF_JOB, ())
        self._scope["task_description"] = changes.get("task_description", job.task_description)
        of_defaults = self._texts(job.defaults, _TEXTS_OF_DEFAULTS, ("defaults",))
        if of_defaults:
            changes["defaults"] = job.defaults.model_copy(update=of_defaults)
        timeout = None if job.timeout is None else self._duration(job.timeout, "timeout")
        if timeout is not None:
            changes["timeout"] = timeout
        return replace(spec, job=job.model_copy(update=changes)) if changes else spec

    def of_steps(self, steps: tuple[StepDef, ...], base: Path = ("steps",)) -> tuple[StepDef, ...]:
        """The steps with the settings that are known. Those of a workflow are left to the run."""
        return tuple(
            self._step(step, (*base, step.id)) if step.templates or step.steps else step
            for step in steps
        )

    def _step(self, step: StepDef, path: Path) -> StepDef:
        try:
            if step.templates:
                step = render_early(step, self._scope, self._rules)
        except BadSetting as error:
            self._report(f"{dotted(path)}.{error}", *error.path(path))
        except TemplateError as error:
            self._report(f"{dotted(path)}: {error}", *path)
        if not step.steps or step.inputs is not None:
            return step
        return replace(step, steps=self.of_steps(step.steps, (*path, "steps")))

    def _texts(self, owner: Any, keys: Iterable[str], base: Path) -> dict[str, str]:
        found = {}
        for key in keys:
            text = getattr(owner, key)
            if text is None or not texts_in(text) or not is_known(text, self._scope):
                continue
            value = self._rendered(text, *base, key)
            if value is None:
                continue
            if isinstance(value, str) and value.strip() and not texts_in(value):
                found[key] = value
                continue
            said = "must be a text that is not empty and has no template"
            self._report(f"{dotted((*base, key))}: {said}; got {_shown(value)}", *base, key)
        return found

    def _duration(self, given: float | TemplateText, *path: str) -> float | None:
        if not isinstance(given, TemplateText) or not is_known(given, self._scope):
            return None
        value = self._rendered(given, *path)
        try:
            return None if value is None else parse_duration(value)
        except ValueError as error:
            self._report(f"{dotted(path)}: {error}; got {_shown(value)}", *path)
            return None

    def _rendered(self, text: str, *path: str | int) -> Any:
        try:
            value = parse_template(text).render(self._scope)
        except TemplateError as error:
            self._report(f"{dotted(path)}: {error}", *path)
            return None
        if value is None:
            self._report(f"{dotted(path)}: the template gives null; give it a value", *path)
        return value


def known_duration(duration_s: float | TemplateText) -> float | None:
    """A duration that was rendered; None for a template whose problem has been reported."""
    return None if isinstance(duration_s, TemplateText) else duration_s


def step_def(common: Mapping[str, Any], own: Mapping[str, Any]) -> StepDef:
    """The definition with these fields; settings that have templates are put under `templates`."""
    fields = {**common, **own}
    fields.pop("templates", None)
    templates = {**common.get("templates", {}), **own.get("templates", {})}
    for key in _SETTINGS:
        if fields.get(key) is not None and texts_in(fields[key]):
            templates[key] = _plain(fields.pop(key))
    params = fields.get("params", {})
    late = {name: value for name, value in params.items() if texts_in(value)}
    if late:
        templates["params"] = _plain(late)
        fields["params"] = {name: params[name] for name in params if name not in late}
    if templates:
        fields["templates"] = templates
    return load(StepDef, fields)


def _plain(value: Any) -> Any:
    """The value with texts of the type `str` only."""
    return str(value) if isinstance(value, TemplateText) else value


def _shown(value: Any) -> str:
    return shown_value(value) if not isinstance(value, str) else repr(to_text(value)[:80])
