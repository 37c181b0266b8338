"""The settings of a step after their templates were rendered, as `step.configured` records them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from orc.ledger.definition import StepDef, TargetDef, ToolDef
from orc.ledger.stored_struct import Stored, load


class SettingsDef(Stored, frozen=True, kw_only=True):
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
    """The step with rendered settings. Raises msgspec's ValidationError for anything else."""
    given = load(SettingsDef, dict(settings))
    changes: dict[str, Any] = {name: getattr(given, name) for name in settings}
    limit = changes.pop("max_parallel", None)
    if limit is not None and step.for_each is not None:
        changes["for_each"] = replace(step.for_each, max_parallel=limit)
    left = {key: text for key, text in step.templates.items() if key not in settings}
    first = {key: changes.get(key, getattr(step, key)) for key in TargetDef.__struct_fields__}
    if first["provider"] is not None and "fallback" not in left:
        others = changes.get("fallback", step.fallback)
        first_target = load(TargetDef, {**first, "model": first["model"] or ""})
        changes["fallback"] = tuple(target for target in others if target != first_target)
    return replace(step, **changes, templates=left)
