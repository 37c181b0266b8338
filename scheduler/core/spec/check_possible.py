"""Finds what a spec says that can never hold or never happen: such a spec is valid and fails later.

Each check is sure: what depends on a value of the run is left to the run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import prod

from orc.ledger.kinds import facts_of
from orc.ledger.wording import duration_text
from orc.scheduler.core.errors import Problem
from orc.scheduler.core.language.templates import has_template
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.base import TemplateText
from orc.scheduler.core.spec.data_inputs import is_data, key_problems
from orc.scheduler.core.spec.flow import RetrySpec
from orc.scheduler.core.spec.inputs import default_problem, enum_problem
from orc.scheduler.core.spec.model import DefaultsSpec, InputSpec, StepSpec, kind_of

_Report = Callable[..., Problem]
"""Makes a problem of a message, and the keys of the step where it is."""
_OF_CALLS = frozenset(
    "auth bad_request budget context_length protocol rate_limit refused rejected".split()
)
"""Kinds of failures that only a call of a model, or a person, causes."""
_OF_COMMANDS = frozenset("exit_code output_too_large rejected signal".split())
"""Kinds of failures that only a command, a function or a person causes."""
_NESTED = (
    ("timeout", "attempt_timeout"),
    ("timeout", "total_timeout"),
    ("attempt_timeout", "total_timeout"),
)
"""Limits of which the second one includes the first."""
_EXHAUSTED = ("loop", "on_exhausted")
_NEVER = re.compile(r"\s*(?:\$\{\{)?\s*(?:false|False)\s*(?:\}\})?\s*\Z")


def check_input(name: str, spec: InputSpec, document: Document) -> Iterator[Problem]:
    """Problems of an input whose values or whose default cannot be given."""
    path: Path = ("inputs", name)
    for key, reason in key_problems(spec):
        yield Problem(f"inputs.{name}.{key}: {reason}", *document.place((*path, key), key=True))
    if is_data(spec) and spec.enum is not None:
        return
    for index, value in enumerate(spec.enum or ()):
        reason = enum_problem(value, spec)
        if reason:
            where: Path = (*path, "enum", index)
            yield Problem(f"{dotted(where)}: {reason}", *document.place(where))
    reason = default_problem(spec)
    if reason:
        yield Problem(f"inputs.{name}.default: {reason}", *document.place((*path, "default")))
    elif spec.required and spec.default is not None:
        yield Problem(
            f"inputs.{name}.default: is never used, since the input has `required: true`; remove one "
            "of them",
            *document.place((*path, "default"), key=True),
        )


def check_possible(
    path: Path, step: StepSpec, document: Document, defaults: DefaultsSpec
) -> Iterator[Problem]:
    """Problems of a step's limits, retries, rounds, items and options."""

    def problem(message: str, *keys: str) -> Problem:
        where: Path = (*path, *keys)
        return Problem(f"{dotted(where)}: {message}", *document.place(where, key=True))

    yield from _check_times(step, defaults, problem)
    if step.retry is not None:
        reason = wait_problem(step.retry)
        if reason:
            yield problem(reason, "retry")
    yield from _check_retry_on(step, problem)
    loop = step.loop
    if loop is not None and loop.on_exhausted == "fail":
        if loop.until is None:
            yield problem("is allowed with `until` only", *_EXHAUSTED)
        elif _NEVER.match(loop.until):
            yield problem(
                "the step always fails, since `until` is never true; change one of them",
                *_EXHAUSTED,
            )
    if step.key is not None and not has_template(step.key):
        reason = _key_problem(step)
        if reason:
            yield problem(reason, "key")
    approval = step.approval
    if approval is not None:
        if approval.options == ["reject"]:
            yield problem(
                "has only `reject`, so that the step always fails; add an option",
                "approval",
                "options",
            )
        if "on_timeout" in approval.model_fields_set and approval.timeout is None:
            yield problem("is allowed with `timeout` only", "approval", "on_timeout")


def check_defaults(defaults: DefaultsSpec, document: Document) -> Iterator[Problem]:
    """Problems of the limits and retries that steps without their own have."""
    found = [wait_problem(defaults.retry)] if defaults.retry is not None else []
    for reason in filter(None, found):
        where: Path = ("defaults", "retry")
        yield Problem(f"defaults.retry: {reason}", *document.place(where, key=True))
    for key, longer in _NESTED:
        shorter_s, longer_s = _known(getattr(defaults, key)), _known(getattr(defaults, longer))
        if shorter_s and longer_s and shorter_s > longer_s:
            where = ("defaults", key)
            reason = _longer(shorter_s, longer, longer_s)
            yield Problem(f"defaults.{key}: {reason}", *document.place(where, key=True))


def wait_problem(retry: RetrySpec) -> str:
    """Why the waits of a retry contradict each other; empty if they do not."""
    if retry.max >= retry.initial or "max" not in retry.model_fields_set:
        return ""
    return (
        f"the first wait, {duration_text(retry.initial)}, is longer than `max`, "
        f"{duration_text(retry.max)}; change one of them"
    )


def _check_times(step: StepSpec, defaults: DefaultsSpec, problem: _Report) -> Iterator[Problem]:
    asks_model = facts_of(kind_of(step)).calls_model
    for key, longer in _NESTED:
        if "attempt_timeout" in (key, longer) and not asks_model:
            continue
        own, around = getattr(step, key), getattr(step, longer)
        shorter_s = _known(own or getattr(defaults, key))
        longer_s = _known(around or getattr(defaults, longer))
        if shorter_s is None or longer_s is None or shorter_s <= longer_s:
            continue
        if own:
            yield problem(_longer(shorter_s, longer, longer_s), key)
        elif around:
            said = f"is shorter than `{key}`, {duration_text(shorter_s)}; change one of them"
            yield problem(said, longer)
    total = _known(step.total_timeout or defaults.total_timeout)
    if total is None:
        return
    if step.queue_timeout is not None and step.queue_timeout > total:
        yield problem(_longer(step.queue_timeout, "total_timeout", total), "queue_timeout")


def _known(duration_s: float | TemplateText | None) -> float | None:
    return None if isinstance(duration_s, TemplateText) else duration_s


def _longer(found_s: float, other: str, other_s: float) -> str:
    return (
        f"{duration_text(found_s)} is never reached, since `{other}` is {duration_text(other_s)}; "
        "change one of them"
    )


def _check_retry_on(step: StepSpec, problem: _Report) -> Iterator[Problem]:
    facts = facts_of(kind_of(step))
    never = frozenset() if facts.calls_model and step.tools else _OF_COMMANDS
    if not facts.calls_model:
        never = _OF_CALLS
    for kind in step.retry_on or ():
        if kind in never:
            yield problem(
                f"a step of kind {facts.name} never fails with {kind!r}; remove it", "retry_on"
            )


def _key_problem(step: StepSpec) -> str:
    """Why a key that is the same for each item fails the step; empty if it need not."""
    count = _count_of_items(step)
    if count is not None and count > 1:
        return "is the same for each item, and must be unique; use the item in it"
    return ""


def _count_of_items(step: StepSpec) -> int | None:
    """The number of items of a literal list, a literal matrix, or both; None if it is not known."""
    lists = [] if step.for_each is None else [step.for_each]
    lists += (step.matrix or {}).values()
    if not lists or any(isinstance(values, str) for values in lists):
        return None
    return prod(map(len, lists))
