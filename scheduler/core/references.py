"""What the templates of a spec refer to: which steps must end first, and which names are unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.core.errors import Problem, TemplateError, nearest
from scheduler.core.expressions import Expression, Reference
from scheduler.core.shell import parse_shell
from scheduler.core.spec_model import JobSpec, StepSpec
from scheduler.core.templates import has_template, parse_template
from scheduler.core.yaml_source import Document, Path

STEP_FIELDS = ("output", "status", "error", "files", "attempts")


_SCOPE = ("project", "task_description", "inputs", "steps", "env", "job")


_JOB_FIELDS = ("id",)


def texts_of(step: StepSpec) -> Iterator[tuple[Path, str]]:
    """Every text of the step in which templates are looked for, with its path in the step."""
    for key in ("prompt", "system", "messages", "run", "args", "value", "files", "env"):
        value = getattr(step, key)
        if value is not None:
            yield from _texts((key,), value)


def needs_of(step_id: str, step: StepSpec, known: Mapping[str, Any]) -> tuple[str, ...]:
    """What the step waits for: the steps that it names, then those that its templates refer to."""
    found = dict.fromkeys(step.needs)
    for _, text in texts_of(step):
        try:
            expressions = parse_template(text).expressions
        except TemplateError:
            continue
        for expression in expressions:
            for reference in expression.references:
                if reference.path[0] == "steps" and len(reference.path) > 1:
                    found[reference.path[1]] = None
    return tuple(name for name in found if name in known)


def _texts(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if has_template(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts((*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts((*path, index), item)
    elif hasattr(value, "model_fields_set"):
        for key in ("content", "path", "glob", "text", "image"):
            yield from _texts((*path, key), getattr(value, key, None))


def check_text(
    path: Path, text: str, document: Document, job: JobSpec, all_ids: Mapping[str, Any]
) -> Iterator[Problem]:
    line, column = document.place(path)
    if path in document.blocks:
        line, column = line + 1, 1
    where = ".".join(str(part) for part in path)
    try:
        is_script = path[-1] == "run" and len(path) == 3
        template = parse_template(text)
        if is_script:
            parse_shell(text)
    except TemplateError as error:
        yield Problem(f"{where}: {error}", line, column)
        return
    for expression in template.expressions:
        for reference in expression.references:
            message = _reference_problem(reference, expression, job, all_ids, path)
            if message:
                yield Problem(f"{where}: {message}", line + expression.line - 1, column)


def _reference_problem(
    reference: Reference,
    expression: Expression,
    job: JobSpec,
    all_ids: Mapping[str, Any],
    path: Path,
) -> str:
    root, *keys = reference.path
    shown = f"${{{{ {expression.source} }}}}"
    if root not in _SCOPE:
        return f"{shown}: there is no {root!r}{nearest(root, _SCOPE)}"
    first = keys[0] if keys else None
    if root == "steps":
        return _step_reference_problem(keys, shown, all_ids, path)
    if root == "inputs" and first is not None and first not in job.inputs:
        return f"{shown}: there is no input {first!r}{nearest(first, job.inputs)}"
    if root == "env" and first is not None and first not in job.env:
        return f"{shown}: {first!r} is not under the spec's env{nearest(first, job.env)}"
    if root == "job" and first not in _JOB_FIELDS:
        return f"{shown}: a job shows {', '.join(_JOB_FIELDS)}"
    return ""


def _step_reference_problem(
    keys: list[str], shown: str, all_ids: Mapping[str, Any], path: Path
) -> str:
    if not keys:
        return f"{shown}: name a step: steps.<id>.output"
    if path[:1] == ("defaults",):
        return f"{shown}: defaults cannot refer to steps"
    name = keys[0]
    if name not in all_ids:
        hyphened = [known for known in all_ids if known.startswith(f"{name}-")]
        if hyphened:
            return f"{shown}: an id with a hyphen is written steps['{hyphened[0]}']"
        return f"{shown}: there is no step {name!r}{nearest(name, all_ids)}"
    if path[:2] == ("steps", name):
        return f"{shown}: the step refers to itself"
    if len(keys) < 2 or keys[1] not in STEP_FIELDS:
        got = f"; got {keys[1]!r}" if len(keys) > 1 else ""
        return f"{shown}: a step shows {', '.join(STEP_FIELDS)}{got}"
    return ""
