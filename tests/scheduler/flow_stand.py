"""Flows of the model as specs, with a provider that replies as the model expects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import trio
import yaml
from msgspec.structs import asdict, replace

from orc.ledger.definition import CircuitDef, JobDef
from orc.ledger.events import TokenUsage
from orc.ledger.money import NANO_PER_USD
from orc.providers import OnDelta, PermanentError, Reply, Request, TransientError, Usage
from orc.scheduler.core.commands import RaiseBudget
from orc.scheduler.core.fold.budgets import current_limits
from orc.scheduler.core.fold.evolve import JobState
from tests.flow_model import Flow, Limit, Node, all_nodes, checksum, item_values
from tests.model import TRANSIENT, Plan, Task
from tests.scheduler.flows import decide_here, job_of
from tests.scheduler.harness import Stand, empty_stand

TOKENS = Usage(30, 5)
MAX_TOKENS = 20
LANE = "ollama"
TARGET = f"{LANE}/m"


def price(provider: str, model: str, usage: TokenUsage) -> int:
    """What a call costs, in nano-dollars."""
    return (usage.input_tokens + 4 * usage.output_tokens) * 976_563


class FlowModel:
    """A provider for the `ask` nodes of a flow; `paid` lists the step of each reply."""

    name = LANE
    params = frozenset({"temperature", "max_tokens"})
    endpoint = ""

    def __init__(self, flow: Flow) -> None:
        self._nodes = {node.id: node for node in all_nodes(flow.nodes)}
        self.paid: list[str] = []
        self._asked: Counter[str] = Counter()

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        told = json.loads(str(request.messages[-1]["content"]))
        await trio.sleep(checksum(request.step) % 8 / 4)
        node = self._nodes[told["id"]]
        self._asked[request.step] += 1
        if self._asked[request.step] <= node.hiccups:
            kind = TRANSIENT[self._asked[request.step] % len(TRANSIENT)]
            raise TransientError(cast(Any, kind), "as the test says")
        if node.fails(request.step):
            raise PermanentError("bad_request", "as the test says")
        self.paid.append(request.step)
        text = json.dumps({"by": request.step, "of": checksum(told)})
        on_delta(text)
        return Reply(text, "model-1", "stop", TOKENS)

    def recall(self, stream: Sequence[Any]) -> None:
        """Nothing to do: replies do not depend on earlier replies."""

    async def models(self) -> tuple[str, ...]:
        return ()

    async def identify(self, model: str) -> str | None:
        return None

    async def aclose(self) -> None: ...


def spec_of(flow: Flow) -> str:
    """The flow as a spec."""
    spec: dict[str, Any] = {
        "project": "flow",
        "provider": TARGET,
        "params": {"max_tokens": MAX_TOKENS},
        "concurrency": {"total": flow.total, LANE: flow.abreast},
        "defaults": {"retry": {"max_attempts": flow.attempts_max, "jitter": 0}},
    }
    rate = {"requests_per_min": flow.rate, "tokens_per_min": flow.token_rate}
    rate = {key: value for key, value in rate.items() if value is not None}
    if rate:
        spec["rate"] = {LANE: rate}
    if flow.budget is not None:
        spec["budget"] = _limit(flow.budget)
    spec["steps"] = {node.id: _step(node, ()) for node in flow.nodes}
    return yaml.safe_dump(spec, sort_keys=False, width=10_000)


def definition_of(flow: Flow) -> JobDef:
    """The flow as a job; its circuits are a setting, and no key of the spec."""
    circuit = CircuitDef(threshold=flow.threshold, cooldown_s=flow.cooldown_s)
    return replace(job_of(spec_of(flow)), circuit=circuit)


def _limit(limit: Limit) -> dict[str, Any]:
    return {key: value for key, value in asdict(limit).items() if value is not None}


def _step(node: Node, around: tuple[str, ...]) -> dict[str, Any]:
    step: dict[str, Any] = {}
    if node.needs:
        step["needs"] = list(node.needs)
    if node.condition:
        step["if"] = _condition(node)
    if node.is_fan:
        source = f"${{{{ steps.{node.source}.output }}}}"
        step["for_each"] = item_values(node) if node.source is None else source
        step["as"] = f"item_{node.id}"
        around = (*around, step["as"])
        if node.is_keyed:
            # The spec knows items only at run time; an item's value says its position.
            step["key"] = f"k${{{{ item_{node.id} }}}}"
        if node.repeat > 1:
            step["repeat"] = node.repeat
        if node.abreast is not None:
            step["max_parallel"] = node.abreast
    if node.rounds is not None:
        loop: dict[str, Any] = {"max_iterations": node.rounds}
        if node.until is not None:
            loop |= {"until": f"loop.index >= {node.until}", "on_exhausted": node.exhausted}
        step["loop"] = loop
        around = (*around, "loop", "previous")
    if node.is_tolerated:
        step["continue_on_error"] = True
    if node.on_unknown != "retry":
        step["on_unknown"] = node.on_unknown
    if node.budget is not None:
        step["budget"] = _limit(node.budget)
    return {**step, **_deed(node, around)}


def _condition(node: Node) -> Any:
    match node.condition:
        case "yes" | "no":
            return f"'{node.condition}' == 'yes'"
        case "item":
            return f"item_{node.id} != 1"
    return f"{node.condition}()"


def _deed(node: Node, around: tuple[str, ...]) -> dict[str, Any]:
    match node.kind:
        case "group":
            return {"steps": {inner.id: _step(inner, around) for inner in node.members}}
        case "broken":
            return {"value": "${{ project.nothing.of_that }}"}
        case "person":
            return {"approval": {"message": f"Go on with {node.id}?", "options": _OPTIONS}}
        case "ask":
            told = _told(node, around, "{", "}")
            return {"prompt": f"${{{{ {told} | tojson }}}}", "output": {"format": "json"}}
    return {"value": f"${{{{ {_told(node, around, '{', '}')} }}}}"}


_OPTIONS = ["approve", "later", "reject"]


def _told(node: Node, around: tuple[str, ...], begin: str, end: str) -> str:
    needs = ", ".join(f"'{name}': {_gist(f'steps.{name}.output')}" for name in node.needs)
    names = {"loop": "loop.index", "previous": "loop.previous"}
    values = ", ".join(f"'{name}': {_gist(names.get(name, name))}" for name in around)
    parts = [f"'id': '{node.id}'", f"'needs': {{{needs}}}", f"'around': {{{values}}}"]
    return begin + ", ".join(parts) + end


def _gist(expression: str) -> str:
    return f"[({expression} | tojson)[:60], {expression} | tojson | length]"


@contextmanager
def stand_of(flow: Flow) -> Iterator[Stand]:
    """A stand with the flow's job submitted to it."""
    models = {"ollama": FlowModel(flow)}
    with empty_stand(Plan((Task("unused"),)), definition_of(flow), models) as stand:
        stand.price = price
        yield stand


def answer(stand: Stand, flow: Flow, state: JobState, *, raise_by: int = 1) -> None:
    """Act as a person for a waiting job: make every decision, and raise each budget a little."""
    options = {node.id: node.option for node in all_nodes(flow.nodes)}
    for name in sorted(state.questions):
        decide_here(stand, name, options[own_name(name)])
    for account in sorted(set(state.over_budget.values())):
        _raise(stand, state, account, raise_by)


def _raise(stand: Stand, state: JobState, account: str, by: int) -> None:
    limit = current_limits(state, account)
    assert limit is not None
    more = RaiseBudget(
        account,
        max_calls=None if limit.max_calls is None else limit.max_calls + by,
        max_tokens=None if limit.max_tokens is None else limit.max_tokens + 1000 * by,
        max_cost_nano_usd=None
        if limit.max_cost_nano_usd is None
        else limit.max_cost_nano_usd + by * NANO_PER_USD,
    )
    stand.act(more)


def own_name(step: str) -> str:
    """The id of a step in the spec, without enclosing groups, item keys and round numbers."""
    return step.rpartition("/")[2].partition("[")[0].partition("#")[0]


def events_of(stand: Stand, after: int) -> Sequence[Any]:
    """The events after a version."""
    return [recorded.event for recorded in stand.stream()[after:]]
