"""Checks the control flow keys of steps: fan-outs, loops and approvals."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orc.ledger.wording import count_text, number_text
from orc.scheduler.core.errors import Problem, TemplateError
from orc.scheduler.core.language.expressions import Expression
from orc.scheduler.core.language.names import ROOTS
from orc.scheduler.core.language.templates import has_template, parse_template
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.model import StepSpec
from orc.scheduler.core.spec.references import Scope

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_OPTION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z", re.ASCII)
_RESERVED = (*ROOTS, "loop", "matrix")
MATRIX_MAX = 10_000


def check_flow(path: Path, step: StepSpec, document: Document, scope: Scope) -> Iterator[Problem]:
    """Problems of a step's `for_each`, `matrix`, `repeat`, `score`, `loop` and `approval`."""
    where = dotted(path)
    given = step.model_fields_set

    def problem(key: str, message: str) -> Problem:
        return Problem(f"{where}.{key}: {message}", *document.place((*path, key), key=True))

    if isinstance(step.for_each, str) and not has_template(step.for_each):
        yield problem(
            "for_each", "must be a list, or an expression in ${{ }} whose value is a list"
        )
    for field, key in (("as_", "as"), ("key", "key"), ("max_parallel", "max_parallel")):
        has_items = step.for_each is not None or (key != "as" and step.matrix is not None)
        if field in given and not has_items and (key != "max_parallel" or step.repeat is None):
            yield problem(key, "is allowed with `for_each` only")
    if "as_" in given and not _VARIABLE.match(step.as_):
        yield problem("as", "a name may have letters, digits and underscores only")
    # Specs that have neither key may use these names.
    own = ("output",) * (step.score is not None) + ("repetition",) * (step.repeat is not None)
    if step.for_each is not None and step.as_ in (*_RESERVED, *own):
        yield problem("as", f"{step.as_!r} is a reserved name; choose another name")
    if step.for_each is not None and step.as_ in scope.variables:
        yield problem("as", f"an enclosing `for_each` uses {step.as_!r}; choose another name")
    if step.matrix is not None:
        total = step.repeat or 1
        for name, values in step.matrix.items():
            total *= 1 if isinstance(values, str) else len(values)
            if not _VARIABLE.match(name):
                yield problem(
                    "matrix", f"{name!r} is not a name: use letters, digits and underscores"
                )
        if total > MATRIX_MAX:
            found = count_text(total, "combination")
            yield problem("matrix", f"has {found}; the maximum is {number_text(MATRIX_MAX)}")
    if step.repeat is not None and "repetition" in scope.variables:
        yield problem("repeat", "a step around this one has `repeat` already; remove one of them")
    yield from _check_scores(path, step, document)
    if step.loop is not None and "loop" in scope.variables:
        yield problem("loop", "a loop cannot contain another loop; move one of them to a workflow")
    if step.approval is None:
        return
    options = step.approval.options
    for option in options:
        if not _OPTION.match(option):
            yield problem(
                "approval",
                f"{option[:80]!r} is not a valid option: use at most 64 letters, digits, - and _, "
                "starting with a letter or _",
            )
    twice = next((option for option in options if options.count(option) > 1), None)
    if twice is not None:
        yield problem("approval", f"the option {twice!r} is listed twice; remove one of them")
    if step.approval.timeout is not None and step.approval.on_timeout not in options:
        chosen = step.approval.on_timeout
        yield problem(
            "approval", f"on_timeout is {chosen!r}, but must be one of {', '.join(options)}"
        )


def _check_scores(path: Path, step: StepSpec, document: Document) -> Iterator[Problem]:
    """Problems of a step's `score` that are in no expression."""
    for name, score in (step.score or {}).items():
        where = (*path, "score", name)
        if not _OPTION.match(name):
            yield Problem(
                f"{dotted((*path, 'score'))}: {name[:80]!r} is not a name for a score: use at most 64 "
                "letters, digits, - and _, starting with a letter or _",
                *document.place(where, key=True),
            )
        try:
            parts = parse_template(score.value).parts
        except TemplateError:
            continue
        if len(parts) != 1 or not isinstance(parts[0], Expression):
            yield Problem(
                f"{dotted(where)}: must be one expression in ${{{{ }}}} that gives a number or a "
                f"boolean; {score.value[:80]!r} is always a text",
                *document.place(where),
            )
