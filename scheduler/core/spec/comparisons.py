"""Finds comparisons with a value that the other side never is: `steps.a.status == 'success'`.

The sides that are known are the status of a step, the decision of an approval, an input that is a
boolean or has an `enum`, and what is certainly a text or a number: `inputs.text == true`. A condition
with such a comparison would never, or always, be true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orc.ledger.kinds import ENDED
from orc.scheduler.core.errors import nearest, shown_value
from orc.scheduler.core.language.expressions import Expression, literal_path, references_in
from orc.scheduler.core.language.kinds_of_values import KindOfPath
from orc.scheduler.core.spec.model import JobSpec, StepSpec

if TYPE_CHECKING:
    from jinja2 import nodes


def hopeless_comparisons(
    expression: Expression, job: JobSpec, steps: Mapping[str, Any], kind_of: KindOfPath
) -> Iterator[str]:
    """What is wrong with each comparison in the expression that cannot hold."""
    from jinja2 import nodes

    tree = expression.tree
    if tree is None:
        return
    found = [tree] if isinstance(tree, nodes.Compare) else []
    for compare in (*found, *tree.find_all(nodes.Compare)):
        left, [operand, *others] = compare.expr, compare.ops
        if others or operand.op not in ("eq", "ne"):
            continue
        for known, other in ((left, operand.expr), (operand.expr, left)):
            if not isinstance(other, nodes.Const):
                continue
            if reason := _other_kind(known, other.value, kind_of):
                yield reason
                continue
            values = _values_of(known, job, steps)
            if values is None or other.value in values[1]:
                continue
            texts = [value for value in values[1] if isinstance(value, str)]
            yield f"{values[0]} is never {other.value!r}{nearest(str(other.value), texts)}"


def _other_kind(node: nodes.Node, value: Any, kind_of: KindOfPath) -> str:
    """Why a text never equals this number or boolean, or a number this text; empty if it may."""
    path = literal_path(node)
    kind = None if path is None else kind_of(path)
    named = ".".join(path or ())
    match kind, value:
        case "text", bool():
            word = shown_value(value)
            return f"{named!r} is a text and never {word}; write `... == '{word}'` or `... | bool`"
        case "text", int() | float():
            return f"{named!r} is a text and never {value}; put the number in quotes"
        case "number", str():
            return f"{named!r} is a number and never {value!r}; write a number without quotes"
        case _:
            return ""


def _values_of(
    node: nodes.Node, job: JobSpec, steps: Mapping[str, Any]
) -> tuple[str, list[Any]] | None:
    """The name of what the node refers to, and all values that it can have; None if unknown."""
    from jinja2 import nodes

    if not isinstance(node, nodes.Getattr | nodes.Getitem):
        return None
    found = references_in(node)
    match found[0].path if len(found) == 1 else ():
        case ("inputs", name) if name in job.inputs and job.inputs[name].enum:
            allowed = list(job.inputs[name].enum or ())
            # An input that was left out is null.
            return f"the input {name!r}", [*allowed, None]
        case ("inputs", name) if name in job.inputs and job.inputs[name].type == "boolean":
            return f"the input {name!r}, a boolean,", [True, False, None]
        case ("steps", name, "status") if name in steps:
            return f"the status of {name!r}", list(ENDED)
        case ("steps", name, "output", "decision"):
            options = _options_of(steps.get(name))
            return None if options is None else (f"the decision of {name!r}", options)
    return None


def _options_of(step: Any) -> list[Any] | None:
    """The options of an approval that decides once; None for any other step."""
    if not isinstance(step, StepSpec) or step.approval is None:
        return None
    is_many = step.for_each is not None or step.matrix is not None
    return None if is_many else list(step.approval.options)
