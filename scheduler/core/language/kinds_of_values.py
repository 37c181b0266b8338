"""What kind of value an expression gives, as far as its form shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from orc.scheduler.core.language.evaluation import FIXES
from orc.scheduler.core.language.expressions import Expression, literal_path

_STATISTICS = ("mean", "median", "stdev", "quantile", "similarity")
_NUMERIC_FILTERS = ("length", "count", "wordcount", *_STATISTICS)
_KIND_OF_FILTER = {
    **dict.fromkeys((*_NUMERIC_FILTERS, "abs", "round", "sum"), "number"),
    **dict.fromkeys(
        "capitalize date indent join lower replace slug string title tocsv tojson tomarkdown trim "
        "truncate upper".split(),
        "text",
    ),
    **dict.fromkeys(
        "batch dictsort fromcsv groupby items lines list map range reject rejectattr sample select "
        "selectattr shuffle sort split unique zip".split(),
        "list",
    ),
}
KindOfPath = Callable[[tuple[str, ...]], "str | None"]
"""The kind of value that a name has, as far as the spec says it: text, number, list, mapping."""


def condition_problems(node: Any, kind_of: KindOfPath, *, is_condition: bool) -> Iterator[str]:
    """Why parts of the expression cannot be conditions, where its form and its names show it.

    `is_condition` is whether the expression itself is one; `not` and `if` have conditions in any
    expression, and a text before `and` is refused in any.
    """
    from jinja2 import nodes

    if is_condition and isinstance(node, nodes.And | nodes.Or):
        yield from condition_problems(node.left, kind_of, is_condition=True)
        yield from condition_problems(node.right, kind_of, is_condition=True)
        return
    if is_condition and (kind := _kind_of(node, kind_of)) is not None:
        path = literal_path(node)
        named = f"{'.'.join(path)!r} is" if path else "this is"
        typed = ", or give the input `type: boolean`" if path and path[0] == "inputs" else ""
        yield f"a condition must be true or false, but {named} a {kind}; {FIXES[kind]}{typed}"
    if isinstance(node, nodes.And) and _kind_of(_last_of(node.left), kind_of) == "text":
        yield f"a text before `and` is neither true nor false; {FIXES['text']}"
    for child in node.iter_child_nodes():
        is_decided = (isinstance(node, nodes.Not) and child is node.node) or (
            isinstance(node, nodes.CondExpr) and child is node.test
        )
        yield from condition_problems(child, kind_of, is_condition=is_decided)


def _last_of(node: Any) -> Any:
    """The operand that an `and` gives if those before it are not empty."""
    from jinja2 import nodes

    while isinstance(node, nodes.And):
        node = node.right
    return node


def list_problem(expression: Expression, kind_of: KindOfPath) -> str | None:
    """Why the expression gives no list, where its form and its names show it."""
    path, tree = expression.path, expression.tree
    if tree is not None:
        path = literal_path(tree)
    kind = kind_of(path) if path is not None else _kind_of(tree, kind_of)
    if kind is None or kind == "list":
        return None
    named = f"{'.'.join(path)!r} is" if path else "this is"
    typed = ", or give the input `type: list`" if path and path[0] == "inputs" else ""
    return f"must be a list, but {named} a {kind}; {_LIST_FIXES[kind]}{typed}"


_LIST_FIXES = {
    "text": "write `... | lines`, or `... | fromjson` if it is JSON",
    "number": "write `... | range` to count",
    "mapping": "write `... | items`",
    "null": "write a list",
}


def _kind_of(node: Any, kind_of: KindOfPath) -> str | None:
    """The kind of the value, if it is certainly neither true nor false."""
    from jinja2 import nodes

    path = literal_path(node)
    if path is not None:
        return kind_of(path)
    match node:
        case nodes.Const():
            kinds = {str: "text", int: "number", float: "number", type(None): "null"}
            return kinds.get(type(node.value))
        case nodes.List() | nodes.Tuple():
            return "list"
        case nodes.Dict():
            return "mapping"
        case nodes.Concat():
            return "text"
        case nodes.Neg() | nodes.Pos() | nodes.Sub() | nodes.Mul() | nodes.Div():
            return "number"
        case nodes.FloorDiv() | nodes.Mod():
            return "number"
        case nodes.Filter(name="int" | "float") if not (node.args or node.kwargs):
            return "number"
        case nodes.Filter():
            return _KIND_OF_FILTER.get(node.name)
        case _:
            return None


def gives_number(node: Any) -> bool:
    """Whether the expression always gives a number, true or false, whatever its names have.

    As text, such a value has digits, a point, an exponent and a sign only, or is a word.
    """
    from jinja2 import nodes

    match node:
        case nodes.Const():
            return isinstance(node.value, bool | int | float)
        case nodes.Compare() | nodes.Test() | nodes.Not():
            return True
        case nodes.Neg() | nodes.Pos() | nodes.Sub() | nodes.Mul() | nodes.Div():
            return True
        case nodes.FloorDiv() | nodes.Mod():
            return True
        case nodes.Add() | nodes.And() | nodes.Or():
            return gives_number(node.left) and gives_number(node.right)
        case nodes.CondExpr():
            is_number = node.expr2 is not None and gives_number(node.expr2)
            return is_number and gives_number(node.expr1)
        case nodes.Filter(name="int" | "float"):
            # With a default, the value can be anything.
            return not node.args and not node.kwargs
        case nodes.Filter():
            return node.name in (*_NUMERIC_FILTERS, "bool")
        case _:
            return False
