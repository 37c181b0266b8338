"""Functions of the API that read or write for a while, for programs that run under trio.

Each runs its synchronous function in a thread, so that other tasks go on meanwhile. A cancelled
task waits until the function has ended: a thread cannot be interrupted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

import trio

from orc.api import diff, job, jobs, plan, validate, verify
from orc.arguments import require_trio
from orc.cli.errors import EnvironmentProblem
from orc.ledger.scarcity import find_shortage, may_pass
from orc.queue import submit

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def _in_thread(function: Callable[Arguments, Value]) -> Callable[Arguments, Awaitable[Value]]:
    """The function as a coroutine function with the same arguments, result and errors."""

    name = f"{function.__name__}_async"

    @wraps(function)
    async def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        require_trio(name)
        try:
            return await trio.to_thread.run_sync(partial(function, *args, **kwargs))
        except RuntimeError as error:
            if not may_pass(error):
                raise
            raise EnvironmentProblem(str(find_shortage(error))) from error

    call.__name__ = call.__qualname__ = name
    return call


diff_async = _in_thread(diff)
job_async = _in_thread(job)
jobs_async = _in_thread(jobs)
plan_async = _in_thread(plan)
submit_async = _in_thread(submit)
validate_async = _in_thread(validate)
verify_async = _in_thread(verify)
