"""Parses the text of a spec into a checked `JobSpec`, and finds all its problems.

This module finds problems of form; `checks.py` finds the others. Default values are left to
`core/resolve`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from orc.scheduler.core.errors import Problem, SpecError, nearest
from orc.scheduler.core.spec.app_template import APP_STEPS
from orc.scheduler.core.spec.checks import check_job, check_steps
from orc.scheduler.core.spec.file_texts import ReadText, read_texts
from orc.scheduler.core.spec.flow import BudgetSpec
from orc.scheduler.core.spec.job_template import APP, ReadTemplate, apply_template
from orc.scheduler.core.spec.model import (
    LATER_JOB_KEYS,
    LATER_STEP_KEYS,
    DefaultsSpec,
    InputSpec,
    JobSpec,
    StepSpec,
    kind_of,
)
from orc.scheduler.core.spec.yaml_source import Document, Path, dotted, parse_yaml

_PROBLEMS_MAX = 100
_BARE_VALUES: dict[str | int, str] = {
    "concurrency": "a whole number",
    "retry": "a whole number",
}
"""Keys of mappings that have a short form, and the type of the short form."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed spec, with the document and text that it comes from."""

    job: JobSpec
    steps: dict[str, StepSpec]
    document: Document
    text: str
    source_name: str

    def job_with_steps(self) -> JobSpec:
        """The whole spec as one `JobSpec`."""
        return self.job.model_copy(update={"steps": self.steps})

    def problem(self, message: str, *path: str | int, key: bool = False) -> Problem:
        """A problem with the place of the value (or the key) at the path."""
        return Problem(message, *self.document.place(path, key=key))


def parse_spec(
    text: str, *, source_name: str = "spec.yaml", read_text: ReadText | None = None
) -> Spec:
    """Parse the spec in the text. Raises SpecError with all problems.

    Without `read_text`, texts in other files are read as empty.
    """
    spec, problems = examine(text, source_name=source_name, read_text=read_text)
    if problems:
        raise SpecError(source_name, problems)
    return spec


def examine(
    text: str,
    *,
    source_name: str,
    read_text: ReadText | None = None,
    read_template: ReadTemplate | None = None,
) -> tuple[Spec, list[Problem]]:
    """The spec, or its valid parts, and all its problems.

    Raises SpecError if the text is not a YAML mapping.
    """
    document = parse_yaml(text, source_name=source_name)
    if not isinstance(document.value, dict):
        raise SpecError(
            source_name,
            [
                Problem(
                    "a spec must be a mapping with `project`, and `steps` or `task_description`",
                    1,
                    1,
                )
            ],
        )
    problems = []
    if isinstance(document.value.get("template"), str) and read_template is not None:
        problems += apply_template(
            document,
            read_template,
            lambda text, name: examine(text, source_name=name, read_text=read_text)[1],
        )
    problems += read_texts(document, read_text or (lambda name: ""))
    raw = dict(document.value)
    raw_steps = raw.pop("steps", None)
    job = _validate(JobSpec, raw, (), document, problems)
    steps = _validate_steps(raw_steps, document, problems, given="steps" in document.value)
    checked = job or _usable_part(raw)
    problems += check_job(checked, document, uses_app=_uses_app(document.value))
    all_ids = raw_steps if isinstance(raw_steps, dict) else steps
    problems += check_steps(steps, document, all_ids=all_ids, job=checked)
    return Spec(checked, steps, document, text, source_name), problems[:_PROBLEMS_MAX]


def _uses_app(spec: dict[str, Any]) -> bool:
    return "steps" not in spec and spec.get("template") in (None, APP)


def _usable_part(raw: dict[str, Any]) -> JobSpec:
    """The job without its invalid keys, so that other checks can still run."""
    usable = {"project": "unnamed", **raw}
    while True:
        try:
            return JobSpec.model_validate(usable)
        except ValidationError as error:
            for broken in {str(item["loc"][0]) for item in error.errors()}:
                usable.pop(broken)
            usable.setdefault("project", "unnamed")


def _validate_steps(
    raw: Any, document: Document, problems: list[Problem], *, given: bool
) -> dict[str, StepSpec]:
    """The valid steps. Each is validated separately, so that all problems are found."""
    if not given:
        return dict(APP_STEPS)
    if not isinstance(raw, dict) or not raw:
        message = "steps: must be a mapping of step ids to steps, with at least one step"
        problems.append(Problem(message, *document.place(("steps",))))
        return {}
    steps = {}
    for step_id, raw_step in raw.items():
        step = _validate(StepSpec, raw_step, ("steps", step_id), document, problems)
        step = step or _usable_step(raw_step)
        if step is not None:
            steps[step_id] = step
    return steps


def _usable_step(raw: Any) -> StepSpec | None:
    """The step without its invalid keys, so that other checks can still run; None if impossible."""
    try:
        return StepSpec.model_validate(raw)
    except ValidationError as error:
        broken = {item["loc"][0] for item in error.errors() if item["loc"]}
    if not isinstance(raw, dict):
        return None
    try:
        step = StepSpec.model_validate({key: raw[key] for key in raw if key not in broken})
    except ValidationError:
        return None
    return None if kind_of(step) is None else step


def _validate(
    model: type[Model], raw: Any, path: Path, document: Document, problems: list[Problem]
) -> Model | None:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found: list[dict[str, Any]] = [{**details} for details in error.errors()]
        seen: set[tuple[Path, bool]] = set()
        for item in found:
            problem_path, key = _trim((*path, *item["loc"]), document)
            # pydantic reports a value once per member of a union; report it only once.
            if (problem_path, key) in seen and item["type"] != "missing":
                continue
            seen.add((problem_path, key))
            problems.append(_as_problem(item, (*path, *item["loc"]), document))
        return None


def _trim(path: Path, document: Document) -> tuple[Path, bool]:
    while path and path not in document.values:
        path = path[:-1]
    return path, path in document.keys


def _as_problem(item: dict[str, Any], path: Path, document: Document) -> Problem:
    if item["type"] == "extra_forbidden":
        return Problem(_unknown_key(path), *document.place(path, key=True))
    where = dotted(path if item["type"] == "missing" else _trim(path, document)[0])
    if path[-1] in ("prompt", "system") and isinstance(item["input"], dict):
        return Problem(f"{where}: must be a text, or {{file: PATH}}", *document.place(path))
    if item["type"] == "missing":
        return Problem(f"{where}: this key is required", *document.place(path[:-1]))
    return Problem(f"{where}: {_explain(item)}", *document.place(path))


def _explain(item: dict[str, Any]) -> str:
    context = item.get("ctx", {})
    got = item["input"]
    shown = repr(got) if not isinstance(got, dict | list) else _kind_name(got)
    match item["type"]:
        case "value_error":
            return f"{context['error']}; got {shown}"
        case "literal_error":
            allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"{shown} is not allowed here{nearest(str(got), allowed)}"
        case "string_pattern_mismatch":
            return f"{shown} must match {context['pattern']}"
        case "bool_type":
            return f"must be true or false; got {shown}"
        case "int_type":
            return f"must be a whole number; got {shown}"
        case "model_type" if item["loc"] and item["loc"][-1] in _BARE_VALUES:
            return f"must be {_BARE_VALUES[item['loc'][-1]]} or a mapping; got {shown}"
        case "too_short":
            return f"must have at least {context['min_length']}; got {shown}"
        case "model_type" | "dict_type":
            return f"must be a mapping; got {shown}"
    message = item["msg"].removeprefix("Input should be ").replace("a valid ", "a ", 1)
    return f"must be {message}; got {shown}"


def _kind_name(value: dict[str, Any] | list[Any]) -> str:
    return "a mapping" if isinstance(value, dict) else "a list"


def _unknown_key(path: Path) -> str:
    key = str(path[-1])
    where = dotted(path)
    later, known = _keys_at(path[:-1])
    if key in later:
        return f"{where}: not supported yet by this version of orc"
    if len(path) == 1 and key in DefaultsSpec.model_fields:
        return f"{where}: is a key of steps; for all steps, write `defaults: {{{key}: ...}}`"
    return f"{where}: unknown key{nearest(key, known)}"


def _keys_at(parent: Path) -> tuple[frozenset[str], list[str]]:
    """The keys of later versions, and the known keys, of the mapping at the path."""
    if parent[:1] == ("budget",):
        return frozenset(), _keys_of(BudgetSpec)
    while len(parent) > 3 and parent[0] == parent[2] == "steps":
        parent = parent[2:]
    if not parent:
        return LATER_JOB_KEYS, _keys_of(JobSpec)
    if len(parent) == 2 and parent[0] == "steps":
        return LATER_STEP_KEYS, _keys_of(StepSpec)
    if parent == ("defaults",):
        return LATER_STEP_KEYS, list(DefaultsSpec.model_fields)
    if parent[0] == "inputs":
        return frozenset(), list(InputSpec.model_fields)
    # The innermost mapping that the path names: a step's `retry`, and no step called `retry`.
    for part in reversed(parent):
        if part in _MAPPINGS:
            return frozenset(), _keys_of(_MAPPINGS[part])
    return frozenset(), []


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or key for key, field in model.model_fields.items()]


def _mappings_in(model: type[BaseModel]) -> Iterator[tuple[str | int, type[BaseModel]]]:
    """The keys of a model, and of those inside it, whose values are mappings of their own."""
    for name, field in model.model_fields.items():
        for found in _models_in(field.annotation):
            if found is not model:
                yield field.alias or name, found
                yield from _mappings_in(found)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


_MAPPINGS = dict(_mappings_in(StepSpec)) | dict(_mappings_in(JobSpec))
