"""Finds every problem of a spec without submitting it, for `orc.validate`."""

from __future__ import annotations

from collections.abc import Mapping

from orc.cli.errors import UsageProblem
from orc.cli.jobs.prepare import Submission, prepare
from orc.scheduler.core.errors import Problem, SpecError


def find_problems(submission: Submission, environment: Mapping[str, str]) -> tuple[Problem, ...]:
    """The problems of the spec and of its options. No SpecError or UsageProblem is raised."""
    try:
        prepare(submission, environment, executor_names=None)
    except SpecError as error:
        return error.problems
    except UsageProblem as problem:
        return (Problem(str(problem)),)
    return ()
