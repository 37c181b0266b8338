"""Random jobs from a seed: plans with retries, limits, timeouts and circuits, and flows.

The random numbers come from a `random.Random`, so that a seed reproduces a job. The meaning of the
jobs is left to the models (`tests/model.py`, `tests/flow_model.py`).
"""

from __future__ import annotations

from random import Random
from typing import Any, get_args

from msgspec.structs import replace

from orc.ledger.definition import HookDef, JobDef
from orc.ledger.kinds import HookName
from tests.flow_model import Flow, Limit, Node
from tests.model import CONTENT, NEVER, TRANSIENT, Choice, Plan, Task, Try, steadfast
from tests.strategies import LANES, MODELS, PERMANENT

_LEAVES = ("pure", "ask", "ask", "person", "broken")
_CONDITIONS: tuple[Any, ...] = (
    "", "", "", "yes", "no", "success", "failure", "always", "cancelled",
)  # fmt: skip
_HICCUPS_MAX = 2


def random_plan(chance: Random, more: Random) -> Plan:
    """A job with limits and permanent failures; sometimes with circuits, rates or timeouts.

    What `more` decides came later: the seeds of before still give the same jobs beside it.
    """
    tasks: list[Task] = []
    has_timeouts = chance.random() < 0.25
    falls_back = chance.random() < 0.5
    for index in range(chance.randint(1, 7)):
        before = [task.id for task in tasks]
        tasks.append(_task(chance, f"s{index}", before, falls_back=falls_back))
    limits = {lane: chance.randint(1, 2) for lane in LANES[:2] if chance.random() < 0.6}
    plan = Plan(tuple(tasks), total=chance.randint(1, 5), limits=limits)
    if chance.random() < 0.4:
        cooldown_s = chance.choice((0.0, 0.5, 2.0, 8.0))
        plan = replace(plan, threshold=chance.randint(1, 3), cooldown_s=cooldown_s)
    if more.random() < 0.2:
        plan = replace(plan, rates={lane: more.randint(2, 6) for lane in LANES[:2]})
    elif more.random() < 0.1:
        plan = replace(plan, token_rates={lane: more.randint(1, 5) * 16 for lane in LANES[:2]})
    plan = steadfast(plan)
    return _with_timeouts(chance, plan) if has_timeouts else plan


def with_hooks(definition: JobDef, chance: Random) -> JobDef:
    """The job, sometimes with hooks."""
    names = [name for name in get_args(HookName) if chance.random() < 0.4]
    hooks = {name: HookDef(run="true") for name in names}
    return replace(definition, hooks=hooks)


def is_foreseen(plan: Plan) -> bool:
    """Whether the end of the job does not depend on timing."""
    of_time = plan.timeout_s < NEVER or any(task.total_timeout_s < NEVER for task in plan.tasks)
    moves = plan.threshold > 0 and any(task.fallback for task in plan.tasks)
    return not of_time and not moves


def _task(chance: Random, task_id: str, before: list[str], *, falls_back: bool) -> Task:
    needs = tuple(chance.sample(before, chance.randint(0, min(2, len(before)))))
    lane = chance.choice(LANES)
    tolerated = chance.random() < 0.4
    if not lane:
        return Task(task_id, needs, lane, (Try(0.0),), tolerated=tolerated)
    attempts_max = chance.randint(1, 3)
    fallback: list[Choice] = []
    if falls_back and chance.random() < 0.5:
        others = [(name, model) for name in LANES[:2] for model in MODELS]
        others.remove((lane, MODELS[0]))
        for name, model in chance.sample(others, chance.randint(1, 2)):
            fallback.append(Choice(name, model, _tries(chance, attempts_max)))
    return Task(
        task_id,
        needs,
        lane,
        _tries(chance, attempts_max),
        fallback=tuple(fallback),
        attempts_max=attempts_max,
        retry_on=chance.choice((TRANSIENT, (*TRANSIENT, CONTENT), ("rate_limit",))),
        tolerated=tolerated,
        backoff=chance.choice(("exponential", "linear", "fixed")),
        initial_s=chance.choice((0.125, 1.0, 4.0)),
        longest_s=chance.choice((1.5, 60.0)),
        # A sixteenth more than the duration of any reply, so that the two never race.
        timeout_s=NEVER if chance.random() < 0.7 else chance.randint(2, 16) / 8 + 0.0625,
    )


def _tries(chance: Random, attempts_max: int) -> tuple[Try, ...]:
    found = []
    for _ in range(chance.randint(0, attempts_max)):
        kind = chance.choice((*TRANSIENT, CONTENT))
        patience_s = 2.5 if kind != CONTENT and chance.random() < 0.3 else 0.0
        found.append(Try(_eighths(chance), kind, patience_s))
    end = chance.choice((None, None, None, None, "timeout", *PERMANENT, CONTENT))
    return (*found, Try(_eighths(chance), end))


def _eighths(chance: Random) -> float:
    return chance.randint(0, 24) / 8


def _with_timeouts(chance: Random, plan: Plan) -> Plan:
    tasks = tuple(
        replace(task, total_timeout_s=chance.randint(0, 40) / 8 + 0.03125)
        if task.lane and chance.random() < 0.4
        else task
        for task in plan.tasks
    )
    job_s = chance.randint(1, 120) / 8 + 0.015625 if chance.random() < 0.4 else NEVER
    return replace(plan, tasks=tasks, timeout_s=job_s)


def random_flow(chance: Random, more: Random) -> Flow:
    """A job with conditions, fan-outs, loops, groups and approvals; sometimes with limits.

    What `more` decides came later, as in `random_plan`.
    """
    flow = _budgeted(chance, more) if chance.random() < 0.25 else _unlimited(chance)
    flow = _bounded(more, replace(flow, nodes=_doubtful(more, flow.nodes)))
    return replace(flow, nodes=_repeated(more, flow.nodes))


def _unlimited(chance: Random) -> Flow:
    depth = chance.choice((0, 1, 1, 2))
    body = _body(chance, "s", kinds=_LEAVES, depth=depth, in_loop=False)
    total, abreast = chance.randint(1, 4), chance.randint(1, 3)
    return Flow(body, total=total, abreast=abreast, attempts_max=_HICCUPS_MAX + 1)


def _doubtful(more: Random, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes, with what happens after a call in doubt; a person's answer is in `option`."""
    found = []
    for node in nodes:
        if node.kind == "ask":
            on_unknown = more.choice(("retry", "retry", "ask", "fail"))
            option = "reject" if more.random() < 0.2 else "approve"
            node = replace(node, on_unknown=on_unknown, option=option)
        found.append(replace(node, members=_doubtful(more, node.members)))
    return tuple(found)


def _repeated(more: Random, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes, with some fan-outs whose items are repeated."""
    found = []
    for node in nodes:
        if node.is_fan and more.random() < 0.2:
            node = replace(node, repeat=2)
        else:
            # What is inside a repeated step is not repeated once more.
            node = replace(node, members=_repeated(more, node.members))
        found.append(node)
    return tuple(found)


def _bounded(more: Random, flow: Flow) -> Flow:
    """The flow, sometimes with an early circuit, or with calls or tokens limited per minute."""
    if more.random() < 0.4:
        cooldown_s = more.choice((0.0, 0.5, 2.0, 60.0))
        flow = replace(flow, threshold=more.randint(1, 3), cooldown_s=cooldown_s)
    if more.random() < 0.25:
        return replace(flow, rate=more.randint(2, 6))
    if more.random() < 0.1:
        return replace(flow, token_rate=more.randint(1, 6) * 50)
    return flow


def _budgeted(chance: Random, more: Random) -> Flow:
    body = _body(chance, "s", kinds=("ask", "ask", "pure"), depth=1, in_loop=False)
    found = tuple(
        replace(node, budget=_limit(chance, more))
        if node.kind in ("ask", "group") and chance.random() < 0.5
        else node
        for node in body
    )
    budget = _limit(chance, more) if chance.random() < 0.7 else None
    total, abreast = chance.randint(1, 4), chance.randint(1, 3)
    attempts_max = _HICCUPS_MAX + 1
    return Flow(found, total=total, abreast=abreast, budget=budget, attempts_max=attempts_max)


def _limit(chance: Random, more: Random) -> Limit:
    calls = chance.randint(1, 3) if chance.random() < 0.7 else None
    tokens = chance.randint(1, 4) * 400 if calls is None or chance.random() < 0.3 else None
    usd = more.randint(2, 8) / 4 if more.random() < 0.3 else None
    on_exceeded = "fail" if more.random() < 0.15 else "pause"
    return Limit(max_calls=calls, max_tokens=tokens, max_cost_usd=usd, on_exceeded=on_exceeded)


def _body(
    chance: Random, prefix: str, *, kinds: tuple[str, ...], depth: int, in_loop: bool
) -> tuple[Node, ...]:
    found: list[Node] = []
    for index in range(chance.randint(1, 2 if prefix != "s" else 4)):
        node_id = f"{prefix}{index}"
        found.append(_node(chance, node_id, found, kinds=kinds, depth=depth, in_loop=in_loop))
    return tuple(found)


def _node(
    chance: Random,
    node_id: str,
    before: list[Node],
    *,
    kinds: tuple[str, ...],
    depth: int,
    in_loop: bool,
) -> Node:
    ids = [node.id for node in before]
    kind = chance.choice((*kinds, "group") if depth else kinds)
    node = Node(
        node_id,
        kind,
        tuple(chance.sample(ids, chance.randint(0, min(2, len(ids))))),
        condition=chance.choice(_CONDITIONS),
        is_tolerated=chance.random() < 0.33,
        weak=chance.choice((0, 0, 2, 8)) if kind == "ask" else 0,
        hiccups=chance.choice((0, 0, 1, _HICCUPS_MAX)) if kind == "ask" else 0,
        option=chance.choice(("approve", "later", "reject")) if kind == "person" else "",
    )
    if chance.random() < 0.33:
        node = _fan(chance, node, before)
    if not in_loop and chance.random() < 0.33:
        until = chance.choice((None, 1, 2, 3, 4))
        exhausted = chance.choice(("continue", "fail"))
        node = replace(node, rounds=chance.randint(1, 3), until=until, exhausted=exhausted)
    if kind == "group":
        looped = in_loop or node.rounds is not None
        inside = _body(chance, f"{node_id}_", kinds=kinds, depth=depth - 1, in_loop=looped)
        node = replace(node, members=inside)
    return node


def _fan(chance: Random, node: Node, before: list[Node]) -> Node:
    # The list comes from another fan-out outside loops, which this one needs.
    sources = [other.id for other in before if other.is_fan and other.rounds is None]
    sources = [name for name in sources if name in node.needs]
    abreast = chance.choice((None, 1, 2))
    if sources and chance.random() < 0.5:
        return replace(node, source=sources[0], abreast=abreast)
    return replace(
        node,
        items=chance.randint(0, 3),
        is_keyed=chance.random() < 0.5,
        abreast=abreast,
        condition=chance.choice((node.condition, "item")),
    )
