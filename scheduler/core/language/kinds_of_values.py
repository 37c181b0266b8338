"""What kind of value an expression gives, as far as its form shows it."""

from __future__ import annotations

from typing import Any

_NUMERIC_FILTERS = ("length", "count", "wordcount")


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
