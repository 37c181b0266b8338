"""From the coroutines that run jobs to plain calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from cli.ownership import Ended


def run_sync(function: Callable[..., Awaitable[Ended]], *args: Any, **kwargs: Any) -> Ended:
    """Run a coroutine that runs a job, with its own error rather than a group of one."""

    async def call() -> Ended:
        return await function(*args, **kwargs)

    try:
        return trio.run(call)
    except BaseExceptionGroup as group:
        raise first_error(group) from group


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group, however deep."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
