"""Finds every problem of a spec without submitting it, for `orc.validate`."""

from __future__ import annotations

from collections.abc import Container, Mapping

from msgspec.structs import replace

from orc.cli.errors import UsageProblem
from orc.cli.jobs.prepare import Submission, prepare
from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.spec.inputs import is_required
from orc.scheduler.core.spec.parse import Spec


def find_problems(submission: Submission, environment: Mapping[str, str]) -> tuple[Problem, ...]:
    """The problems of the spec and of its options. No SpecError or UsageProblem is raised.

    An input that has no value is none of them: what depends on it is not checked.
    """
    try:
        prepare(replace(submission, needs_inputs=False), environment, executor_names=None)
    except SpecError as error:
        return error.problems
    except UsageProblem as problem:
        return (Problem(str(problem)),)
    return ()


def missing_inputs(spec: Spec, given: Container[str]) -> list[str]:
    """The names of the inputs that a run of the spec needs and that are not among those given."""
    return [
        name for name, each in spec.job.inputs.items() if is_required(each) and name not in given
    ]
