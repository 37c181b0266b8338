"""Runs an asynchronous use case from synchronous code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from orc.scheduler.effects.deadlines import LookingClock

Value = TypeVar("Value")


def run_sync(function: Callable[..., Awaitable[Value]], *args: Any, **kwargs: Any) -> Value:
    """Run the function under trio; its result. The first error of an exception group is raised."""

    async def call() -> Value:
        return await function(*args, **kwargs)

    try:
        return trio.run(call, clock=LookingClock())
    except BaseExceptionGroup as group:
        raise first_error(group) from group


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error that is not a group, at any depth of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
