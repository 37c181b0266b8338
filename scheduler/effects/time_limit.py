"""The time of an attempt that calls a model, and the failure of a call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import trio

from orc.ledger.wording import duration_text
from orc.scheduler.core.commands import Failed
from orc.scheduler.effects.deadlines import cut_at


class CallFailed(Exception):
    """The call returned no usable reply; `failed` is the outcome of the attempt."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.message)
        self.failed = failed


class TimeLimit:
    """The time limit of an attempt. Only model calls and tool calls count against it."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = self.left_s = limit_s

    async def run(
        self, work: Callable[[], Any], *, tool: str = "", tool_s: float = math.inf
    ) -> Any:
        """Return the value of `work`. Raises CallFailed (kind `timeout`) when no time is left.

        A `tool` has a limit of its own.
        """
        started = trio.current_time()
        allowed_s = min(self.left_s, tool_s)
        try:
            with cut_at(started + allowed_s):
                return await work()
        finally:
            self.left_s -= trio.current_time() - started
        message = (
            f"{tool} took longer than the timeout of {duration_text(tool_s)}"
            if tool_s <= allowed_s
            else f"the attempt took longer than its attempt_timeout of {duration_text(self.limit_s)}"
        )
        raise CallFailed(Failed(kind="timeout", message=message, duration_s=allowed_s))
