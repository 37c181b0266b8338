"""The settings of a step after their templates were rendered, as `step.configured` records them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orc.ledger.definition import Resolved, StepDef, TargetDef, ToolDef


class SettingsDef(Resolved):
    """The settings of a step that may be templates, as rendered; fields as in `StepDef`."""

    provider: str | None = None
    model: str | None = None
    base_url: str | None = None
    fallback: tuple[TargetDef, ...] = ()
    params: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    tools: tuple[ToolDef, ...] = ()
    timeout_s: float | None = None
    attempt_timeout_s: float | None = None
    total_timeout_s: float | None = None
    max_parallel: int | None = None


def with_settings(step: StepDef, settings: Mapping[str, Any]) -> StepDef:
    """The step with rendered settings. Raises pydantic's ValidationError for anything else."""
    given = SettingsDef.model_validate(settings)
    changes: dict[str, Any] = {name: getattr(given, name) for name in given.model_fields_set}
    limit = changes.pop("max_parallel", None)
    if limit is not None and step.for_each is not None:
        changes["for_each"] = step.for_each.model_copy(update={"max_parallel": limit})
    left = {key: text for key, text in step.templates.items() if key not in settings}
    first = {key: changes.get(key, getattr(step, key)) for key in TargetDef.model_fields}
    if first["provider"] is not None and "fallback" not in left:
        others = changes.get("fallback", step.fallback)
        first_target = TargetDef.model_validate({**first, "model": first["model"] or ""})
        changes["fallback"] = tuple(target for target in others if target != first_target)
    return step.model_copy(update={**changes, "templates": left})
