"""Random jobs, values and spec texts for Hypothesis, shared by all tests."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.model import CONTENT, NEVER, TRANSIENT, Choice, Plan, Task, Try

PERMANENT = ("auth", "bad_request", "refused", "context_length")
LANES = ("alpha", "beta", "")
MODELS = ("m", "n")

eighths = st.integers(0, 24).map(lambda count: count / 8)
"""Durations that binary fractions hold exactly, so that times can be compared with `==`."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


@st.composite
def tries(
    draw: st.DrawFn, *, attempts_max: int, transient: tuple[str, ...] = TRANSIENT
) -> tuple[Try, ...]:
    """Failures before an end that repeats for ever: a success, or one more failure."""
    kinds = st.sampled_from((*transient, CONTENT))
    retry_afters = st.sampled_from((0.0, 0.0, 2.5))
    failures = []
    for _ in range(draw(st.integers(0, attempts_max))):
        kind = draw(kinds)
        # A reply with bad content is no error of the server's, which could ask for patience.
        failures.append(Try(draw(eighths), kind, 0.0 if kind == CONTENT else draw(retry_afters)))
    end = st.sampled_from((None, None, None, "timeout", *PERMANENT, CONTENT))
    return (*failures, Try(draw(eighths), draw(end)))


@st.composite
def tasks(
    draw: st.DrawFn,
    task_id: str,
    before: list[str],
    *,
    transient: tuple[str, ...] = TRANSIENT,
    falls_back: bool = True,
) -> Task:
    """A task that may need any of those before it."""
    needs = draw(st.lists(st.sampled_from(before), max_size=2, unique=True)) if before else []
    lane = draw(st.sampled_from(LANES))
    tolerated = draw(st.booleans())
    if not lane:
        return Task(task_id, tuple(needs), lane, (Try(0.0),), tolerated=tolerated)
    attempts_max = draw(st.integers(1, 3))
    retry_on = draw(st.sampled_from((TRANSIENT, (*TRANSIENT, CONTENT), ("rate_limit",))))
    all_tries = tries(attempts_max=attempts_max, transient=transient)
    return Task(
        task_id,
        tuple(needs),
        lane,
        draw(all_tries),
        fallback=draw(_fallbacks(lane, all_tries)) if falls_back else (),
        attempts_max=attempts_max,
        retry_on=retry_on,
        tolerated=tolerated,
        backoff=draw(st.sampled_from(("exponential", "linear", "fixed"))),
        initial_s=draw(st.sampled_from((0.125, 1.0, 4.0))),
        longest_s=draw(st.sampled_from((1.5, 60.0))),
    )


@st.composite
def _fallbacks(
    draw: st.DrawFn, lane: str, all_tries: st.SearchStrategy[tuple[Try, ...]]
) -> tuple[Choice, ...]:
    others = [(name, model) for name in LANES[:2] for model in MODELS]
    others.remove((lane, MODELS[0]))
    drawn = st.lists(st.sampled_from(others), max_size=2, unique=True)
    return tuple(Choice(name, model, draw(all_tries)) for name, model in draw(st.just([]) | drawn))


@st.composite
def plans(draw: st.DrawFn, *, limited: bool, tasks_max: int = 9, falls_back: bool = True) -> Plan:
    """A job on a random graph; with `limited`, under limits that bind, and without circuits.

    A provider that says it was asked too often takes room away; without limits it
    says so only where each task has providers of its own.
    """
    apart = not limited and draw(st.booleans())
    transient = TRANSIENT if limited or apart else TRANSIENT[1:]
    ids: list[str] = []
    found: list[Task] = []
    for index in range(draw(st.integers(1, tasks_max))):
        task = draw(tasks(f"s{index}", ids, transient=transient, falls_back=falls_back))
        found.append(_with_own_lanes(task) if apart and task.lane else task)
        ids.append(task.id)
    if not limited:
        return Plan(tuple(found))
    limit = st.none() | st.integers(1, 2)
    drawn = {lane: draw(limit) for lane in LANES[:2]}
    limits = {lane: most for lane, most in drawn.items() if most is not None}
    return Plan(tuple(found), total=draw(st.integers(1, 6)), limits=limits)


def _with_own_lanes(task: Task) -> Task:
    fallback = tuple(replace(choice, lane=f"{task.id}-{choice.lane}") for choice in task.fallback)
    return replace(task, lane=f"{task.id}-{task.lane}", fallback=fallback)


@st.composite
def circuit_plans(draw: st.DrawFn, *, falls_back: bool, tasks_max: int = 9) -> Plan:
    """A job whose circuits open after few failures, and close again after a short while."""
    plan = draw(plans(limited=True, tasks_max=tasks_max, falls_back=falls_back))
    return replace(
        plan,
        threshold=draw(st.integers(1, 3)),
        cooldown_s=draw(st.sampled_from((0.0, 0.5, 2.0, 8.0))),
    )


@st.composite
def timed_plans(draw: st.DrawFn) -> Plan:
    """A job without limits but with timeouts, none of which can fall on an end exactly."""
    plan = draw(plans(limited=False, tasks_max=6))
    timeouts = st.integers(0, 24).map(lambda count: count / 8 + 0.0625)
    some = st.none() | timeouts
    found = []
    for task in plan.tasks:
        if not task.lane:
            found.append(task)
            continue
        # A sixteenth would shift every later time onto the grid of the timeouts.
        attempt_s = draw(st.none() | st.integers(1, 20).map(lambda count: count / 8 + 0.03125))
        once = replace(task, attempts_max=1) if attempt_s is not None else task
        total_s = draw(some) if attempt_s is None else None
        found.append(
            replace(
                once,
                timeout_s=NEVER if attempt_s is None else attempt_s,
                total_timeout_s=NEVER if total_s is None else total_s + 2**-7,
            )
        )
    job_s = draw(st.none() | st.integers(1, 80).map(lambda count: count / 8 + 2**-9))
    return Plan(tuple(found), timeout_s=NEVER if job_s is None else job_s)


GOOD_SPEC: dict[str, Any] = {
    "project": "demo",
    "task_description": "Do it",
    "provider": "ollama/llama3.2",
    "params": {"temperature": 0.5, "stop": ["END"]},
    "concurrency": {"total": 3, "ollama": 1},
    "timeout": "15m",
    "env": {"LC_ALL": "C", "CI": None},
    "inputs": {"topic": {"type": "string", "default": "bees", "enum": ["bees", "ants"]}},
    "defaults": {"retry": 2, "timeout": "2m"},
    "steps": {
        "outline": {"prompt": "About ${{ inputs.topic }}", "system": "Be brief."},
        "talk": {"messages": [{"role": "user", "content": "Hi"}], "output": {"format": "json"}},
        "lint": {
            "needs": "outline",
            "run": 'echo "${{ steps.outline.output }}" > a.txt',
            "files": ["*.txt", {"path": "b.md", "content": "x"}],
            "retry": {"max_attempts": 3, "backoff": "linear", "initial": "2s"},
            "retry_on": ["exit_code"],
            "continue_on_error": True,
        },
        "count": {"python": "pkg.mod:f", "args": {"n": "${{ steps.lint.output }}"}},
        "sum": {"value": {"n": "${{ steps.count.output }}"}, "needs": ["talk"]},
    },
}
"""A spec with every kind of step and most keys."""

_strange = (
    json_values
    | st.sampled_from(("${{ steps.nobody.output }}", "${{", "${{ 1 + }}", "../x", "\x00", "", "on"))
    | st.sampled_from(("prompt", "run", "if", "for_each", "needs", "value"))
)


@st.composite
def mutated_specs(draw: st.DrawFn) -> str:
    """A good spec with a few of its places replaced, removed, renamed or joined by another."""
    document = copy.deepcopy(GOOD_SPEC)
    for _ in range(draw(st.integers(1, 4))):
        _mutate(draw, document)
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


def _mutate(draw: st.DrawFn, document: dict[str, Any]) -> None:
    parents = list(_containers(document))
    parent = draw(st.sampled_from(parents))
    if isinstance(parent, list):
        parent.insert(draw(st.integers(0, len(parent))), draw(_strange))
        return
    key = draw(st.sampled_from(sorted(parent))) if parent else "x"
    match draw(st.sampled_from(("replace", "remove", "rename", "add"))):
        case "replace":
            parent[key] = draw(_strange)
        case "remove":
            parent.pop(key, None)
        case "rename":
            parent[key[:-1] + draw(st.text(max_size=3))] = parent.pop(key, None)
        case _:
            parent[draw(st.text(max_size=6) | st.sampled_from(("if", "steps", "run")))] = draw(
                _strange
            )


def _containers(value: Any) -> Any:
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)
