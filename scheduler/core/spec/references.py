"""Finds what the templates of a spec refer to: needs of steps, and unknown names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.kinds import KIND_OF_KEY, facts_of
from orc.scheduler.core.errors import Problem, TemplateError, nearest
from orc.scheduler.core.language.evaluation import STATUS_CALLS
from orc.scheduler.core.language.expressions import Expression, Reference
from orc.scheduler.core.language.kinds_of_values import condition_problems, list_problem
from orc.scheduler.core.language.names import (
    EACH,
    EACH_FIELDS,
    LOOP_FIELDS,
    ROOTS,
    STEP_FIELDS,
)
from orc.scheduler.core.language.templates import has_template, parse_condition, parse_template
from orc.scheduler.core.shell.insertion import parse_shell
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.base import Strict
from orc.scheduler.core.spec.comparisons import hopeless_comparisons
from orc.scheduler.core.spec.flow import ScoreSpec
from orc.scheduler.core.spec.model import JobSpec, StepSpec
from orc.scheduler.core.spec.rendered_keys import keys_with_templates

_JOB_FIELDS = ("id",)

_KIND_OF_TYPE = {
    "string": "text",
    "number": "number",
    "integer": "number",
    "list": "list",
    "object": "mapping",
}
# Names of other languages and tools, by those of orc.
_WORDS_ELSEWHERE = {
    "null": "none",
    "nil": "none",
    "needs": "steps",
    "params": "inputs",
    "vars": "inputs",
    "variables": "inputs",
}
_BEFORE = ("for_each", "matrix", "max_parallel")
_INSIDE = keys_with_templates(StepSpec)

Place = Literal["before", "condition", "inside", "until", "score", "submission"]
"""What a text is evaluated for: the items of a step, whether it runs, its work, whether its rounds
end, a score of its result, or the definition of the job."""


class Scope(Struct, frozen=True):
    """The names that the texts of a step may use: steps, inputs, and enclosing items and rounds.

    `secrets` are variables that no template may use.
    """

    job: JobSpec
    steps: Mapping[str, Any]
    variables: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()

    def inside(self, step: StepSpec, place: Place, step_id: str = "") -> Scope:
        """The scope of one of the step's texts."""
        if place == "before":
            return self
        added = item_variables(step)
        if place not in ("condition", "score") and step.loop is not None:
            added += ("loop",)
        steps = self.steps
        if place == "until":
            one = step.model_copy(update={"for_each": None, "matrix": None, "repeat": None})
            steps = {**steps, step_id: one, **(step.steps or {})}
        if place == "score":
            added += ("output",)
            steps = {**steps, **(step.steps or {})}
        return replace(self, variables=self.variables + added, steps=steps)

    def kind_of(self, path: tuple[str, ...]) -> str | None:
        """The kind of a name's value, if it is certainly no boolean: text, number, list, mapping."""
        match path:
            case ("inputs", name) if name in self.job.inputs:
                return _KIND_OF_TYPE.get(self.job.inputs[name].type)
            case ("project",) | ("task_description",) | ("env", _) | ("job", "id"):
                return "text"
            case ("steps", _, "status"):
                return "text"
            case ("steps", _, "attempts") | ("loop", "index"):
                return "number"
            case ("steps", name, "output"):
                return _kind_of_output(self.steps.get(name))
            case _:
                return None

    def members(self, step: StepSpec) -> Scope:
        """The scope of the members of a group."""
        inner = self.inside(step, "inside")
        return replace(inner, steps={**self.steps, **(step.steps or {})})


def _kind_of_output(step: Any) -> str | None:
    """The kind of a step's output, from its model or from the mapping in the spec."""
    given = step.model_dump(exclude_unset=True, by_alias=True) if isinstance(step, Strict) else step
    if not isinstance(given, Mapping):
        return None
    if any(given.get(key) is not None for key in ("for_each", "matrix", "repeat")):
        return "list"
    output = given.get("output")
    has_format = isinstance(output, Mapping) and (
        output.get("format", "text") != "text" or "schema" in output
    )
    kinds = (kind for key, kind in KIND_OF_KEY.items() if given.get(key) is not None)
    gives = facts_of(next(kinds, None)).gives
    return None if gives == "text" and has_format else gives


def item_variables(step: StepSpec) -> tuple[str, ...]:
    """The names of the step's item variables."""
    names: tuple[str, ...] = () if step.for_each is None else (step.as_,)
    names += ("matrix",) if step.matrix is not None else ()
    names += ("repetition",) if step.repeat is not None else ()
    return (EACH, *names) if names else ()


def texts_of(step: StepSpec) -> list[tuple[Path, str, Place]]:
    """Every text of the step that may have expressions, with its path in the step.

    Texts of members are not included.
    """
    found: list[tuple[Path, str, Place]] = []
    for key, place in _searched(frozenset(step.model_fields_set)):
        value = getattr(step, key)
        if value is None:
            continue
        if place == "condition":
            found.append((("if",), value, place))
        elif place == "until":
            if value.until is not None:
                found.append((("loop", "until"), value.until, place))
        elif place == "score":
            found += _texts_of_scores(value)
        elif not isinstance(value, int | float):
            found += ((path, text, place) for path, text in _texts((key.rstrip("_"),), value))
    return found


def _texts_of_scores(scores: Mapping[str, ScoreSpec]) -> Iterator[tuple[Path, str, Place]]:
    for name, score in scores.items():
        for key in ("value", "why", "of"):
            text = getattr(score, key)
            if text is not None and has_template(text):
                yield ("score", name, key), text, "score"


@lru_cache(maxsize=1024)
def _searched(given: frozenset[str]) -> tuple[tuple[str, Place], ...]:
    """Which of the fields that a step has are searched for expressions, in order. Defaults have none."""
    places: list[tuple[str, Place]] = [(key, "before") for key in _BEFORE]
    places += [("if_", "condition"), *((key, "inside") for key in _INSIDE)]
    places += [("loop", "until"), ("score", "score")]
    return tuple((key, place) for key, place in places if key in given)


def texts_of_job(job: JobSpec) -> Iterator[tuple[Path, str]]:
    """Every text with expressions that is a key of the job or of its defaults, with its path."""
    yield from _texts((), job)
    yield from _texts(("defaults",), job.defaults)


def texts_in_model(path: Path, value: Strict) -> Iterator[tuple[Path, str]]:
    """Every text with expressions in a mapping of the spec, which is at the path."""
    yield from _texts(path, value)


def expressions_in(text: str, place: Place) -> tuple[Expression, ...]:
    """The expressions in a text. Raises TemplateError."""
    if place in ("condition", "until"):
        return (parse_condition(text),)
    return parse_template(text).expressions


def needs_of(step_id: str, step: StepSpec, known: Mapping[str, Any]) -> tuple[str, ...]:
    """The needs of the step: those in `needs`, then those that its templates refer to."""
    return tuple(name for name in _named_by(step_id, step) if name in known)


def _named_by(step_id: str, step: StepSpec) -> dict[str, None]:
    """The steps that the step and its members refer to, except its members."""
    found: dict[str, None] = {}
    texts = texts_of(step)
    if not texts and step.steps is None:
        # Most often, and for thousands of steps.
        return dict.fromkeys(step.needs)
    for _, text, place in texts:
        try:
            expressions = expressions_in(text, place)
        except TemplateError:
            continue
        for expression in expressions:
            for reference in expression.references:
                if reference.path[0] == "steps" and len(reference.path) > 1:
                    found[reference.path[1]] = None
    members = step.steps or {}
    for member_id, member in members.items():
        found.update(_named_by(member_id, member))
    for name in (*members, step_id):
        # A reference of a step to itself is reported separately, not as a cycle.
        found.pop(name, None)
    return dict.fromkeys(step.needs) | found


def _texts(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if has_template(value):
            yield path, value
    elif value is None or isinstance(value, int | float):
        return
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts((*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts((*path, index), item)
    elif isinstance(value, Strict):
        for key in keys_with_templates(type(value)):
            yield from _texts((*path, key), getattr(value, key))


def check_text(
    path: Path, text: str, document: Document, scope: Scope, place: Place = "inside"
) -> Iterator[Problem]:
    """Problems of the text at the path."""
    where = dotted(path)
    in_file = document.files.get(path)

    def problem(message: str, *, lines: int = 0) -> Problem:
        line, column = document.place(path)
        if path in document.places.blocks:
            line, column = line + 1, 1
        return Problem(f"{where}: {message}", line + lines, column)

    try:
        expressions = expressions_in(text, place)
        is_hook = path[0] == "hooks" and len(path) == 2
        if (path[-1] == "run" or is_hook) and place == "inside":
            parse_shell(text)
        if place == "until" and expressions[0].calls:
            raise TemplateError(
                "success(), failure(), always() and cancelled() are allowed in `if` only"
            )
    except TemplateError as error:
        named = f"{in_file}: " if in_file is not None else ""
        yield problem(f"{named}{error}")
        return
    for expression in expressions:
        if expression.tree is not None:
            for reason in condition_problems(
                expression.tree, scope.kind_of, is_condition=place in ("condition", "until")
            ):
                said = f"${{{{ {expression.source} }}}}: {reason}"
                yield problem(said, lines=expression.line - 1)
        found = [
            _reference_problem(reference, expression, scope, path, place)
            for reference in expression.references
        ]
        if place == "before" and _is_list(path):
            no_list = list_problem(expression, scope.kind_of)
            found.append(f"${{{{ {expression.source} }}}}: {no_list}" if no_list else "")
        for said in hopeless_comparisons(expression, scope.job, scope.steps, scope.kind_of):
            found.append(f"${{{{ {expression.source} }}}}: {said}")
        for message in filter(None, found):
            if in_file is not None:
                yield problem(f"{in_file}:{expression.line}: {message}")
            else:
                yield problem(message, lines=expression.line - 1)


def _is_list(path: Path) -> bool:
    """Whether the text is `for_each`, or a list of `matrix`, as a whole."""
    return path[-1] == "for_each" or (len(path) % 2 == 0 and path[-2] == "matrix")


def _reference_problem(
    reference: Reference, expression: Expression, scope: Scope, path: Path, place: Place
) -> str:
    root, *keys = reference.path
    shown = f"${{{{ {expression.source} }}}}"
    job = scope.job
    if root not in ROOTS and root not in scope.variables:
        is_call = place == "condition" and f"{root}()" in STATUS_CALLS
        meant = f"{root}()" if is_call else _WORDS_ELSEWHERE.get(root)
        hint = f"; write `{meant}`" if meant else nearest(root, (*ROOTS, *scope.variables))
        return f"{shown}: there is no {root!r}{hint}"
    first = keys[0] if keys else None
    if root == "steps":
        return _step_reference_problem(keys, shown, scope, path, place)
    if root == "inputs" and first is not None and first not in job.inputs:
        hint = nearest(first, job.inputs) or "; define it under `inputs`"
        return f"{shown}: there is no input {first!r}{hint}"
    if root == "env" and first in scope.secrets:
        return (
            f"{shown}: {first!r} is a secret and cannot be used in a template, because the value "
            f"would be recorded; read ${first} in the command instead"
        )
    if root == "env" and first is not None and first not in job.env:
        return f"{shown}: {first!r} is not in the job's `env`{nearest(first, job.env)}"
    if root == "job" and place == "submission":
        return f"{shown}: this key is rendered before the job has an id"
    if root == "job" and first not in _JOB_FIELDS:
        return f"{shown}: the fields of `job` are {', '.join(_JOB_FIELDS)}"
    if root == EACH and scope.variables.count(EACH) == 1 and first not in EACH_FIELDS:
        return f"{shown}: the fields of `each` are {', '.join(EACH_FIELDS)}"
    if root == "loop" and "loop" in scope.variables and first not in LOOP_FIELDS:
        return f"{shown}: the fields of `loop` are {', '.join(LOOP_FIELDS)}"
    return ""


def _step_reference_problem(
    keys: list[str], shown: str, scope: Scope, path: Path, place: Place
) -> str:
    if not keys:
        return f"{shown}: the id of a step is missing, as in steps.<id>.output"
    if path[0] != "steps":
        of = "defaults" if path[0] == "defaults" else f"`{path[0]}` of the job"
        return f"{shown}: {of} cannot refer to steps; write the key under the steps that need it"
    name = keys[0]
    if name not in scope.steps:
        hyphened = [known for known in scope.steps if known.startswith(f"{name}-")]
        if hyphened:
            return f"{shown}: write an id with a hyphen as steps['{hyphened[0]}']"
        for group, step in scope.steps.items():
            if name in (getattr(step, "steps", None) or ()):
                return (
                    f"{shown}: {name!r} is a member of the group {group!r}; write "
                    f"steps.{group}.output.{name}"
                )
        return f"{shown}: there is no step {name!r}{nearest(name, scope.steps)}"
    if place != "until" and _is_around(name, path):
        return f"{shown}: the step refers to itself"
    if len(keys) < 2 or keys[1] not in STEP_FIELDS:
        got = f"; got {keys[1]!r}" if len(keys) > 1 else ""
        return f"{shown}: the fields of a step are {', '.join(STEP_FIELDS)}{got}"
    return ""


def _is_around(name: str, path: Path) -> bool:
    """Whether the text at the path belongs to the step or to one of its members."""
    return any(
        path[place] == "steps" and path[place + 1] == name for place in range(0, len(path) - 1, 2)
    )
