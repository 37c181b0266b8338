"""From the coroutines that run jobs to plain calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

Value = TypeVar("Value")


def run_sync(function: Callable[..., Awaitable[Value]], *args: Any, **kwargs: Any) -> Value:
    """Run a coroutine to its end; its own error is raised, not a group that contains it."""

    async def call() -> Value:
        return await function(*args, **kwargs)

    try:
        return trio.run(call)
    except BaseExceptionGroup as group:
        raise first_error(group) from group


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group, at any depth."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
