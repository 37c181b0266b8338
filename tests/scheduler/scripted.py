"""A provider that follows the plan of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import trio

from orc.ledger import Recorded
from orc.ledger.digest import digest_json
from orc.ledger.events import LlmFailed, LlmRequested, LlmResponded
from orc.providers import OnDelta, PermanentError, Reply, Request, TransientError, Usage
from orc.providers.request_key import prompt_values
from tests.model import CONTENT, TRANSIENT, Choice, Plan

USAGE = Usage(3, 5)


class ScriptedModel:
    """A provider that replies to each call of a step, or fails it, as the step's task says.

    `paid` counts its replies, also those to interrupted calls; tests compare it with the ledger.
    `recall` adds the calls of a stream that another object served.
    """

    params = frozenset({"temperature"})
    endpoint = ""

    def __init__(self, name: str, plan: Plan) -> None:
        self.name = name
        self.paid = {task.id: 0 for task in plan.tasks}
        self._sent: dict[tuple[str, str], int] = {}
        self._plan = plan

    def recall(self, stream: Sequence[Recorded]) -> None:
        """Continue after the calls in this stream."""
        asked: dict[str, tuple[str, str]] = {}
        for event in (recorded.event for recorded in stream):
            if isinstance(event, LlmRequested):
                asked[event.step] = (event.provider, event.model)
            elif isinstance(event, LlmResponded | LlmFailed):
                provider, model = asked[event.step]
                if provider == self.name:
                    self._count(event.step, model)

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        choice = self._choice(request)
        met = choice.attempt(self._count(request.step, request.model))
        await trio.sleep(met.duration_s)
        if met.kind in TRANSIENT:
            raise TransientError(
                cast(Any, met.kind), "as the test says", retry_after_s=met.retry_after_s
            )
        if met.kind not in (None, CONTENT):
            raise PermanentError(cast(Any, met.kind), "as the test says")
        self.paid[request.step] += 1
        answer = f'"{digest_json(prompt_values(request))[:16]}"'
        text = answer if met.kind is None else "this is no JSON"
        on_delta(text)
        return Reply(text, "model-1", "stop", USAGE)

    async def models(self) -> tuple[str, ...]:
        return ()

    async def identify(self, model: str) -> str | None:
        return None

    async def aclose(self) -> None: ...

    def _choice(self, request: Request) -> Choice:
        target = f"{self.name}/{request.model}"
        choices = self._plan.task(request.step).choices
        return next(choice for choice in choices if choice.target == target)

    def _count(self, step_id: str, model: str) -> int:
        self._sent[step_id, model] = self._sent.get((step_id, model), 0) + 1
        return self._sent[step_id, model]
