"""Reads the steps of another spec as a group: `workflow: other.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import dirname
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.scheduler.core.errors import SpecError, nearest
from orc.scheduler.core.language.templates import texts_in
from orc.scheduler.core.resolve.prompt import Settings
from orc.scheduler.core.spec.beside import beside
from orc.scheduler.core.spec.data_inputs import data_problem, is_data
from orc.scheduler.core.spec.inputs import input_problem, is_required
from orc.scheduler.core.spec.job_template import is_file
from orc.scheduler.core.spec.model import InputSpec, JobSpec, StepSpec
from orc.scheduler.core.spec.parse import Spec, examine

DEPTH_MAX = 8


class Workflow(Struct, frozen=True):
    """Another spec that a step uses.

    `inputs` are the values of its inputs; they may contain templates of the step. `chain` are the
    paths of the enclosing specs and its own.
    """

    spec: Spec
    settings: Settings
    inputs: dict[str, Any]
    chain: tuple[str, ...]


def read_workflow(
    step: StepSpec, job: JobSpec, settings: Settings, *, chain: tuple[str, ...], folder: str
) -> tuple[Workflow | None, list[str]]:
    """The workflow, and the problems of its spec and inputs. None if it cannot be read.

    `chain` are the paths of the enclosing specs, `folder` that of the file in which the step is
    written, all relative to the submitted spec's folder.
    """
    assert step.workflow is not None
    path = beside(folder, step.workflow)
    if path in chain:
        return None, [f"a workflow cannot contain itself: {' -> '.join((*chain, path))}"]
    if len(chain) >= DEPTH_MAX:
        return None, [f"workflows are nested more than {DEPTH_MAX} levels deep"]
    inner_folder = dirname(path)
    try:
        text = settings.read_text(path)
        spec, problems = examine(
            text,
            source_name=path,
            read_text=lambda name: settings.read_text(beside(inner_folder, name)),
            read_template=lambda name: settings.read_template(
                beside(inner_folder, name) if is_file(name) else name
            ),
        )
    except ValueError as error:
        return None, [str(error)]
    except SpecError as error:
        return None, [problem.line_in(path) for problem in error.problems]
    said = [problem.line_in(path) for problem in problems]
    said += _input_problems(step.with_ or {}, spec.job.inputs, path)
    inputs = {name: declared.default for name, declared in spec.job.inputs.items()}
    inner = replace(settings, inputs={})
    spec = replace(spec, job=_with_model_of(spec.job, job))
    return Workflow(spec, inner, {**inputs, **(step.with_ or {})}, (*chain, path)), said


def _with_model_of(job: JobSpec, around: JobSpec) -> JobSpec:
    """The workflow with its own choice of a model, otherwise that of the enclosing spec."""
    if job.provider is not None or job.defaults.provider is not None:
        return job
    names = ("provider", "model", "base_url", "fallback", "params", "cache")
    changes = {name: getattr(around, name) for name in names if getattr(job, name) is None}
    return job.model_copy(update=changes)


def _input_problems(
    given: Mapping[str, Any], declared: Mapping[str, InputSpec], path: str
) -> Iterator[str]:
    for name, value in given.items():
        if name not in declared:
            yield f"with.{name}: {path} has no such input{nearest(name, declared)}"
        elif not texts_in(value):
            spec = declared[name]
            if is_data(spec):
                reason = data_problem(value, spec)
            else:
                reason = input_problem(value, spec.type, spec.enum)
            if reason:
                yield f"with.{name}: {reason}"
    for name, spec in declared.items():
        if is_required(spec) and name not in given:
            yield f"with: {path} requires the input {name!r}; give it there"
