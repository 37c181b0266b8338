"""Renders the settings of a step that are templates: its model, parameters, limits, schema, tools.

A setting that names only what is known at submission is rendered there (`render_early`). Any other
one is rendered when the step is ready, before it is queued, since its route and its limits follow
from it (`render_settings`). Both give the same values, and check them in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orc.ledger.definition import REPLAY, JobDef, StepDef, TargetDef
from orc.ledger.digest import clean_json
from orc.ledger.stored_struct import dump
from orc.scheduler.core.durations import parse_duration
from orc.scheduler.core.errors import TemplateError, shown_value
from orc.scheduler.core.language.templates import parse_template, render_value, texts_in
from orc.scheduler.core.language.values import to_plain, to_text
from orc.scheduler.core.resolve.targets import TargetRules
from orc.scheduler.core.source.paths import Path
from orc.scheduler.core.step_settings import with_settings

TARGET_KEYS = ("provider", "model", "base_url")
KEYS_IN_SPEC = {
    "output_schema": "output.schema",
    "timeout_s": "timeout",
    "attempt_timeout_s": "attempt_timeout",
    "total_timeout_s": "total_timeout",
}
"""The names of settings in the spec, where they differ."""
_SHOWN_CHARS = 80
Scope = Mapping[str, Any]


class BadSetting(TemplateError):
    """A template was rendered to a value that its key cannot have; `key` is its name in the spec."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key

    def path(self, step: Path) -> Path:
        """The place of the key in the spec, by that of the step."""
        return (*step, *self.key.partition("[")[0].split("."))


def scope_at_submission(definition: JobDef) -> dict[str, Any]:
    """The names that have a value before the job exists."""
    known = {name: text for name, text in definition.env.items() if text is not None}
    return {
        "project": definition.project,
        "task_description": definition.task_description,
        "inputs": definition.inputs,
        "env": known,
    }


def is_known(value: Any, scope: Scope) -> bool:
    """Whether every name in the templates of the value has a value in the scope."""
    for text in texts_in(value):
        try:
            expressions = parse_template(text).expressions
        except TemplateError:
            return False
        for expression in expressions:
            for reference in expression.references:
                root, *keys = reference.path
                if root not in scope:
                    return False
                # A variable of the caller, or an input that is missing.
                if root in ("env", "inputs") and keys and keys[0] not in scope[root]:
                    return False
    return True


def render_early(step: StepDef, scope: Scope, rules: TargetRules) -> StepDef:
    """The step with the settings that are known in the scope. Raises TemplateError.

    A value that itself has `${{` is left to the run, where no value is parsed.
    """
    target = [key for key in TARGET_KEYS if key in step.templates]
    groups = [target] if target else []
    groups += [[key] for key in step.templates if key not in TARGET_KEYS]
    for keys in groups:
        if all(is_known(step.templates[key], scope) for key in keys):
            settings = _rendered(step, keys, scope, rules)
            if not texts_in(settings):
                step = with_settings(step, settings)
    return step


def render_settings(step: StepDef, scope: Scope, rules: TargetRules) -> dict[str, Any]:
    """The rendered settings of a step that is ready, as the event records them.

    Raises TemplateError.
    """
    return _rendered(step, step.own_templates, scope, rules)


def _rendered(
    step: StepDef, keys: Iterable[str], scope: Scope, rules: TargetRules
) -> dict[str, Any]:
    values = {key: _render(key, step.templates[key], scope) for key in keys}
    found: dict[str, Any] = {}
    if any(key in values for key in TARGET_KEYS):
        target = _target(step, values, rules)
        found |= dump(target)
    for key, value in values.items():
        if key not in TARGET_KEYS:
            found[key] = _READERS[key](step, value, rules)
    return found


def _render(key: str, template: Any, scope: Scope) -> Any:
    try:
        return clean_json(to_plain(render_value(template, scope)))
    except TemplateError as error:
        raise TemplateError(f"{KEYS_IN_SPEC.get(key, key)}: {error}") from None


def _target(step: StepDef, values: Mapping[str, Any], rules: TargetRules) -> TargetDef:
    """The first target; `job_target` is what the step has if its provider is that of the job."""
    given = {key: _text(key, value) for key, value in values.items() if key in TARGET_KEYS}
    is_replayed, embeds = step.provider == REPLAY, step.facts.embeds
    provider, model, base_url = step.provider or "", step.model, step.base_url
    if "provider" in given:
        name, _, own_model = given["provider"].partition("/")
        _refuse("provider", rules.provider_problem(name, embeds=embeds))
        job = step.job_target
        is_jobs = job is not None and job.provider == name
        provider, base_url = name, job.base_url if job is not None and is_jobs else None
        model = own_model or (job.model if job is not None and is_jobs else "")
    model = given.get("model") or model or rules.default_model(provider, embeds=embeds)
    _refuse("provider", rules.model_problem(provider, model, embeds=embeds))
    if "base_url" in given:
        base_url = given["base_url"].rstrip("/")
        _refuse("base_url", rules.address_problem(provider, base_url))
    if is_replayed:
        return TargetDef(provider=REPLAY, model=model)
    return TargetDef(provider=provider, model=model, base_url=base_url)


def _fallback(step: StepDef, value: Any, rules: TargetRules) -> list[dict[str, Any]]:
    found: list[TargetDef] = []
    for number, item in enumerate(value):
        key = f"fallback[{number}]"
        given = {name: _text(key, text) for name, text in item.items() if text}
        provider, _, model = given["provider"].partition("/")
        _refuse(key, rules.provider_problem(provider))
        base_url = given.get("base_url")
        if base_url is not None:
            _refuse(key, rules.address_problem(provider, base_url))
            base_url = base_url.rstrip("/")
        model = given.get("model") or model or rules.default_model(provider)
        _refuse(key, rules.model_problem(provider, model))
        found.append(TargetDef(provider=provider, model=model, base_url=base_url))
    return [dump(target) for target in dict.fromkeys(found)]


def _params(step: StepDef, value: dict[str, Any], rules: TargetRules) -> dict[str, Any]:
    # The models of specs are loaded by the few jobs whose parameters have templates.
    from pydantic import ValidationError

    from orc.scheduler.core.spec.prompt import ParamsSpec

    given = {name: _flat(item) if name == "stop" else item for name, item in value.items()}
    try:
        checked = ParamsSpec.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "value_error":
            raise BadSetting(f"params.{name}", str(first["ctx"]["error"])) from None
        wanted = first["msg"].removeprefix("Input should be ")
        raise BadSetting(f"params.{name}", f"must be {wanted}; got {_shown(given[name])}") from None
    if "max_tokens" in given and checked.max_tokens is None:
        # Budgets rely on it.
        raise BadSetting("params.max_tokens", "must be a whole number; got null")
    found = {**step.params, **checked.model_dump(exclude_unset=True)}
    return {name: item for name, item in found.items() if item is not None}


def _schema(step: StepDef, value: Any, rules: TargetRules) -> dict[str, Any]:
    from orc.scheduler.core.spec.check_prompt import schema_problem

    return _mapping("output.schema", value, schema_problem)


def _tools(step: StepDef, value: Any, rules: TargetRules) -> list[dict[str, Any]]:
    from orc.scheduler.core.spec.check_prompt import parameters_problem

    for number, tool in enumerate(value):
        key = f"tools[{number}]"
        if tool.get("description") is not None:
            tool["description"] = _text(f"{key}.description", tool["description"])
        if tool.get("parameters") is not None:
            tool["parameters"] = _mapping(
                f"{key}.parameters", tool["parameters"], parameters_problem
            )
        tool["allow"] = [_text(f"{key}.allow", name) for name in _flat(tool.get("allow", []))]
        if not tool["allow"] and step.templates["tools"][number].get("allow"):
            raise BadSetting(f"{key}.allow", "must have at least one name")
    return list(value)


def _duration(key: str) -> Callable[[StepDef, Any, TargetRules], float]:
    def read(step: StepDef, value: Any, rules: TargetRules) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            raise BadSetting(key, f"{error}; got {_shown(value)}") from None

    return read


def _max_parallel(step: StepDef, value: Any, rules: TargetRules) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        remedy = "; write `... | int`" if isinstance(value, str) else ""
        raise BadSetting(
            "max_parallel", f"must be a whole number of at least 1; got {_shown(value)}{remedy}"
        )
    return value


_READERS: dict[str, Callable[[StepDef, Any, TargetRules], Any]] = {
    "fallback": _fallback,
    "params": _params,
    "output_schema": _schema,
    "tools": _tools,
    "timeout_s": _duration("timeout"),
    "attempt_timeout_s": _duration("attempt_timeout"),
    "total_timeout_s": _duration("total_timeout"),
    "max_parallel": _max_parallel,
}


def _mapping(key: str, value: Any, problem: Callable[[Any], str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadSetting(key, f"must be a mapping; got {_shown(value)}")
    _refuse(key, problem(value))
    return value


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadSetting(key, f"must be a text that is not empty; got {_shown(value)}")
    return value


def _flat(values: list[Any]) -> list[Any]:
    """The items, where one template may have given several."""
    found: list[Any] = []
    for value in values:
        found += value if isinstance(value, list) else [value]
    return found


def _refuse(key: str, reason: str) -> None:
    if reason:
        raise BadSetting(key, reason)


def _shown(value: Any) -> str:
    shown = shown_value(value)
    return shown if len(shown) <= _SHOWN_CHARS else f"{to_text(value)[:_SHOWN_CHARS]!r}..."
