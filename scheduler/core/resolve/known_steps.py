"""The steps of a job with the settings that they will have, as far as they are known at submission.

A step whose model is `${{ matrix.model }}` has as many models as its items have. Where the items are
known (a literal list, a matrix, an input), each of them is checked before the job exists: providers,
keys, prices, parameters. What depends on the result of a step is checked when it is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec.structs import replace

from orc.ledger.definition import JobDef, StepDef
from orc.ledger.digest import canonical_json
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.names import EACH
from orc.scheduler.core.language.templates import parse_condition, render_value, texts_in
from orc.scheduler.core.resolve.item_lists import list_items
from orc.scheduler.core.resolve.settings import (
    TARGET_KEYS,
    BadSetting,
    is_known,
    render_settings,
    scope_at_submission,
)
from orc.scheduler.core.resolve.targets import TargetRules
from orc.scheduler.core.step_settings import with_settings

SCOPES_MAX = 10_000
"""How many items of a step are looked at; what those after them have is checked when they run."""
Scope = Mapping[str, Any]


def known_steps(definition: JobDef, rules: TargetRules) -> Iterator[StepDef]:
    """The steps and all steps inside them, each in every form that its settings are known to take.

    A step none of whose forms is known is given as it is written. A form with a value that its key
    cannot have is left out; `bad_settings` has it.
    """
    yield from (step for _, step in known_forms(definition, rules))


def known_forms(
    definition: JobDef, rules: TargetRules, *, of: StepDef | None = None
) -> Iterator[tuple[str, StepDef]]:
    """The same with the names of the steps, such as `group/member`; all, or an outermost step's."""
    steps = definition.steps if of is None else (of,)
    yield from _Forms(rules).of(steps, [scope_at_submission(definition)])


def known_count(step: StepDef, definition: JobDef) -> int | None:
    """The number of items of an outermost step, if it is known; otherwise None."""
    assert step.for_each is not None
    scopes = scopes_of_items(step, [scope_at_submission(definition)])
    return None if scopes is None else len(scopes)


def bad_settings(definition: JobDef, rules: TargetRules) -> list[tuple[str, BadSetting]]:
    """The settings that are known and that their keys cannot have, with the names of their steps.

    At most one of each step.
    """
    forms = _Forms(rules)
    for _ in forms.of(definition.steps, [scope_at_submission(definition)]):
        pass
    return list(forms.bad.items())


def has_target(step: StepDef) -> bool:
    """Whether the first target of the step is known, and does not follow from templates."""
    return step.templates.keys().isdisjoint(TARGET_KEYS)


class _Forms:
    def __init__(self, rules: TargetRules) -> None:
        self._rules = rules
        self.bad: dict[str, BadSetting] = {}

    def of(
        self, steps: Iterable[StepDef], scopes: list[Scope] | None, prefix: str = ""
    ) -> Iterator[tuple[str, StepDef]]:
        """`scopes` are those of the items around; None if these are not known."""
        for step in steps:
            name, inner = f"{prefix}{step.id}", scopes
            if step.for_each is not None and inner is not None:
                inner = scopes_of_items(step, inner)
            if not step.templates or step.facts.is_container:
                yield name, step
            else:
                yield from ((name, form) for form in self._of_step(name, step, inner or []))
            if step.inputs is not None and inner is not None:
                inner = _scopes_of_workflow(step, inner)
            if step.steps:
                yield from self.of(step.steps, inner, f"{name}/")

    def _of_step(self, name: str, step: StepDef, scopes: list[Scope]) -> Iterator[StepDef]:
        """The forms of the step, whose items and rounds are still together."""
        late = {key: text for key, text in step.templates.items() if key != "max_parallel"}
        one = replace(step, for_each=None, loop=None, templates=late)
        found: dict[str, StepDef] = {}
        for scope in scopes:
            if not is_known(late, scope) or not may_hold(step.item_condition, scope):
                continue
            try:
                settings = render_settings(one, scope, self._rules)
            except BadSetting as error:
                self.bad.setdefault(name, error)
                continue
            except TemplateError:
                # The item fails by itself.
                continue
            key = canonical_json(settings)
            if key not in found:
                # Most items have the settings of another one.
                found[key] = with_settings(step, settings)
        yield from found.values() if found else [step]


def may_hold(source: str | None, scope: Scope) -> bool:
    """Whether the condition, if there is one, is true in the scope, or not known yet."""
    if source is None:
        return True
    condition = parse_condition(source)
    if condition.calls or any(ref.path[0] not in scope for ref in condition.references):
        return True
    try:
        return condition.holds(scope)
    except TemplateError:
        return True


def scopes_of_items(step: StepDef, scopes: list[Scope]) -> list[Scope] | None:
    """The variables of the first items of a fan-out, in each of these scopes; None: not known."""
    assert step.for_each is not None
    lists = [step.for_each.items, step.for_each.matrix]
    found: list[Scope] = []
    for scope in scopes:
        if not is_known(lists, scope):
            return None
        try:
            items = list_items(step.for_each, scope)
        except TemplateError:
            return None
        for number, item in enumerate(islice(items, SCOPES_MAX - len(found))):
            place = {"index": number, "first": number == 0, "last": number == len(items) - 1}
            found.append({**scope, EACH: place, **step.for_each.variables(item)})
    return found


def _scopes_of_workflow(step: StepDef, scopes: list[Scope]) -> list[Scope] | None:
    """The scopes of a workflow's steps, which see its inputs only."""
    env = {name: text for name, text in step.env.items() if text is not None}
    found: list[Scope] = []
    for scope in scopes:
        if not is_known(step.inputs, scope):
            return None
        try:
            inputs = render_value(step.inputs, scope) if texts_in(step.inputs) else step.inputs
        except TemplateError:
            return None
        base = {key: scope[key] for key in ("project", "task_description")}
        found.append({**base, "inputs": inputs, "env": env})
    return found
