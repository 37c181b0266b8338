"""Evaluates an expression by a walk over Jinja's syntax tree, in a scope of the job's values.

Which syntax is allowed is left to `expressions.py`.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orc.ledger.bounds import Gathered, LazyList
from orc.ledger.digest import clean_text
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.filter_bounds import check_filter, describe_misfit
from orc.scheduler.core.language.filter_examples import FILTER_EXAMPLES, TEST_EXAMPLES
from orc.scheduler.core.language.own_filters import OWN_TESTS, own_filters
from orc.scheduler.core.language.value_bounds import (
    check_operands,
    check_result,
    join_texts,
)
from orc.scheduler.core.language.values import (
    INDEXED,
    LazyMapping,
    Missing,
    as_plain,
    kind_of_value,
    look_up,
    storable,
    to_plain,
    to_text,
)

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment


_JINJA_FILTERS = (
    "abs capitalize count d default dictsort first float indent int items last length list lower "
    "max min reverse round sort sum title trim truncate upper wordcount"
).split()
_OF_TEXT = frozenset("capitalize indent lower title trim truncate upper wordcount".split())
"""Filters of Jinja that make a text of any other value, and would make Python's of it."""
_JINJA_TESTS = (
    "boolean defined divisibleby even false float in integer mapping none number odd sequence "
    "string true undefined eq ne lt le gt ge equalto"
).split()
FILTERS = sorted([*_JINJA_FILTERS, "bool", "tojson", *FILTER_EXAMPLES])
TESTS = [*_JINJA_TESTS, *TEST_EXAMPLES]


_SHOWN_CHARS = 80


STATUS_CALLS = ("success()", "failure()", "always()", "cancelled()")
"""The functions that a condition may call. They are keys of its scope."""


def walk_path(path: tuple[str, ...], scope: Mapping[str, Any]) -> Any:
    value = _name(path[0], scope)
    for key in path[1:]:
        value = look_up(value, key)
    return value


def _name(name: str, scope: Mapping[str, Any]) -> Any:
    if name not in scope:
        raise Missing(f"{name!r} is not defined; the names are: {', '.join(scope)}")
    return scope[name]


@lru_cache(maxsize=1)
def jinja_environment() -> SandboxedEnvironment:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """Makes filters with `attribute=` look up keys, which must exist, instead of attributes."""

        def getitem(self, obj: Any, argument: Any) -> Any:
            return _get(obj, argument)

    # Only `${{ }}` is special. The other delimiters begin with NUL, which no
    # YAML text can contain, so that `{{ }}`, `{% %}` and `{# #}` are plain text.
    environment = Environment(
        variable_start_string="${{",
        variable_end_string="}}",
        block_start_string="\0{%",
        block_end_string="%}\0",
        comment_start_string="\0{#",
        comment_end_string="#}\0",
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters = {name: environment.filters[name] for name in _JINJA_FILTERS}
    environment.filters["tojson"] = lambda value: json.dumps(to_plain(value), ensure_ascii=False)
    environment.filters |= own_filters(apply_filter, _apply_test, _get)
    environment.tests = {name: environment.tests[name] for name in _JINJA_TESTS}
    environment.tests |= OWN_TESTS
    return environment


def _get(value: Any, key: Any) -> Any:
    try:
        return look_up(value, key)
    except Missing as error:
        raise LookupError(str(error)) from None


Scope = Mapping[str, Any]


def evaluate(node: nodes.Node, scope: Scope) -> Any:
    return evaluators()[type(node)](node, scope)


@lru_cache(maxsize=1)
def evaluators() -> dict[type, Callable[[Any, Scope], Any]]:
    """The evaluator of each allowed node type: the whole language."""
    from jinja2 import nodes

    def arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Any, Scope], Any]:
        def calculate(node: Any, scope: Scope) -> Any:
            left, right = evaluate(node.left, scope), evaluate(node.right, scope)
            return _calculate(function, left, right)

        return calculate

    return {
        nodes.Const: _constant,
        nodes.Name: lambda node, scope: _name(node.name, scope),
        nodes.Getattr: lambda node, scope: look_up(evaluate(node.node, scope), node.attr),
        nodes.Getitem: _getitem,
        nodes.List: lambda node, scope: [evaluate(item, scope) for item in node.items],
        nodes.Tuple: lambda node, scope: [evaluate(item, scope) for item in node.items],
        nodes.Dict: lambda node, scope: {
            to_text(evaluate(pair.key, scope)): evaluate(pair.value, scope) for pair in node.items
        },
        nodes.Add: arithmetic(operator.add),
        nodes.Sub: arithmetic(operator.sub),
        nodes.Mul: arithmetic(operator.mul),
        nodes.Div: arithmetic(operator.truediv),
        nodes.FloorDiv: arithmetic(operator.floordiv),
        nodes.Mod: arithmetic(operator.mod),
        nodes.Neg: lambda node, scope: -_number(evaluate(node.node, scope)),
        nodes.Pos: lambda node, scope: _number(evaluate(node.node, scope)),
        nodes.Concat: lambda node, scope: join_texts(
            to_text(evaluate(item, scope)) for item in node.nodes
        ),
        nodes.And: _and,
        nodes.Or: lambda node, scope: evaluate(node.left, scope) or evaluate(node.right, scope),
        nodes.Not: lambda node, scope: not decide(node.node, scope),
        nodes.CondExpr: _conditional,
        nodes.Compare: _compare,
        nodes.Filter: _filter,
        nodes.Test: _test,
        nodes.Call: lambda node, scope: scope[status_call(node) or ""],
    }


def status_call(node: Any) -> str | None:
    """The key of a call such as `success()`, without arguments; None for any other call."""
    from jinja2 import nodes

    name = f"{node.node.name}()" if isinstance(node.node, nodes.Name) else ""
    bare = not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
    return name if bare and name in STATUS_CALLS else None


def decide(node: Any, scope: Scope) -> bool:
    """The value of a condition, which must be true or false. Raises TemplateError.

    A text such as "false" is neither: what it means, its author must say.
    """
    from jinja2 import nodes

    if isinstance(node, nodes.And):
        return decide(node.left, scope) and decide(node.right, scope)
    if isinstance(node, nodes.Or):
        return decide(node.left, scope) or decide(node.right, scope)
    return check_boolean(evaluate(node, scope))


def check_boolean(value: Any) -> bool:
    """The value of a condition. Raises TemplateError, with the fix, if it is no boolean."""
    if isinstance(value, bool):
        return value
    kind = kind_of_value(value).removeprefix("a ")
    raise TemplateError(
        f"a condition must be true or false; got {kind}: {to_text(value)[:_SHOWN_CHARS]}; "
        f"{FIXES[kind]}"
    )


FIXES = {
    "text": "write `... == 'true'` or `... | bool`",
    "number": "compare it, as in `... > 0`",
    "list": "write `... | length > 0`",
    "mapping": "write `... | length > 0`",
    "null": "write `... is not none`, or `... | default(false, true)`",
}
"""What to write for a value that is neither true nor false, by its kind."""


def _and(node: Any, scope: Scope) -> Any:
    """Jinja's `and` for values: the left one if it is empty, else the right one."""
    left = evaluate(node.left, scope)
    if isinstance(left, str):
        # It would be the truth of a text, which "false" has too.
        check_boolean(left)
    return left and evaluate(node.right, scope)


def _constant(node: Any, scope: Scope) -> Any:
    # An escape can produce a lone surrogate, which an event cannot contain.
    return clean_text(node.value) if isinstance(node.value, str) else node.value


def _getitem(node: Any, scope: Scope) -> Any:
    from jinja2 import nodes

    value = evaluate(node.node, scope)
    if not isinstance(node.arg, nodes.Slice):
        return look_up(value, evaluate(node.arg, scope))
    if not isinstance(value, INDEXED):
        raise TemplateError(f"{kind_of_value(value)} cannot be sliced")
    bounds = [
        None if part is None else int(_number(evaluate(part, scope)))
        for part in (node.arg.start, node.arg.stop, node.arg.step)
    ]
    return value[slice(*bounds)]


def _conditional(node: Any, scope: Scope) -> Any:
    if decide(node.test, scope):
        return evaluate(node.expr1, scope)
    return None if node.expr2 is None else evaluate(node.expr2, scope)


def _compare(node: Any, scope: Scope) -> bool:
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "eq": operator.eq,
        "ne": operator.ne,
        "lt": operator.lt,
        "lteq": operator.le,
        "gt": operator.gt,
        "gteq": operator.ge,
        "in": _is_in,
        "notin": _is_not_in,
    }
    left = evaluate(node.expr, scope)
    for operand in node.ops:
        right = evaluate(operand.expr, scope)
        if not _calculate(functions[operand.op], left, right):
            return False
        left = right
    return True


def _is_in(left: Any, right: Any) -> bool:
    return left in right


def _is_not_in(left: Any, right: Any) -> bool:
    return left not in right


def _filter(node: Any, scope: Scope) -> Any:
    arguments = [evaluate(item, scope) for item in node.args]
    keywords = {item.key: evaluate(item.value, scope) for item in node.kwargs}
    if node.name in ("default", "d"):
        try:
            value = evaluate(node.node, scope)
        except Missing:
            return arguments[0] if arguments else ""
    else:
        value = evaluate(node.node, scope)
    if not (isinstance(value, Gathered | LazyList) and node.name in ("length", "count")):
        # Filters may look up what is read when it is asked for: `map(attribute='text')`.
        value = as_plain(storable(value), keeps=LazyMapping)
    return apply_filter(node.name, value, arguments, keywords)


def apply_filter(name: str, value: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """The value after the filter. Raises TemplateError."""
    if name not in FILTERS:
        raise TemplateError(f"there is no filter {name!r}; known: {', '.join(FILTERS)}")
    if name in _OF_TEXT:
        value = to_text(value)
    try:
        check_filter(name, value, arguments, keywords)
        result = jinja_environment().call_filter(name, value, arguments, keywords)
        if isinstance(result, Iterator | list):
            # Some of Jinja's filters only begin their work here.
            result = [list(item) if isinstance(item, tuple) else item for item in result]
    except TemplateError:
        raise
    except Exception as error:
        # Jinja's filters may raise any exception for an unexpected value.
        raise TemplateError(
            f"filter {name!r}: {describe_misfit(name, value, error) or error}"
        ) from None
    from jinja2 import Undefined

    if isinstance(result, Undefined):
        # That of `first`, `last`, `min` and `max`.
        raise Missing(f"filter {name!r}: needs at least one item; got none")
    return check_result(result)


def _test(node: Any, scope: Scope) -> bool:
    if node.name in ("defined", "undefined"):
        try:
            evaluate(node.node, scope)
        except Missing:
            return bool(node.name == "undefined")
        return bool(node.name == "defined")
    value = to_plain(evaluate(node.node, scope))
    arguments = [evaluate(item, scope) for item in node.args]
    return _apply_test(node.name, value, arguments, {})


def _apply_test(name: str, value: Any, arguments: list[Any], _: dict[str, Any]) -> bool:
    if name not in TESTS:
        raise TemplateError(f"there is no test {name!r}; known: {', '.join(TESTS)}")
    try:
        return bool(jinja_environment().call_test(name, value, arguments))
    except Exception as error:
        raise TemplateError(f"test {name!r}: {error}") from None


def _calculate(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    left, right = (list(one) if isinstance(one, LazyList) else one for one in (left, right))
    check_operands(left, right)
    name = function.__name__
    if name == "mod" and not isinstance(left, int | float):
        raise TemplateError("the operands of % must be numbers")
    if name == "mul" and not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise TemplateError("the operands of * must be numbers")
    try:
        result = function(left, right)
    except TypeError:
        kinds = f"{kind_of_value(left)} and {kind_of_value(right)}"
        raise TemplateError(f"{kinds} {_FAILED.get(name, 'cannot be calculated with')}") from None
    except ArithmeticError as error:
        raise TemplateError(str(error)) from None
    return check_result(result)


_FAILED = {
    **dict.fromkeys(("lt", "le", "gt", "ge"), "have no order; make numbers of texts, by `| float`"),
    "add": "cannot be added; `~` joins texts",
    **dict.fromkeys(
        ("_is_in", "_is_not_in"),
        "do not suit `in`: it looks for a text in a text, an item in a list, a key in a mapping",
    ),
}
"""What cannot be done with two values of other kinds, by the operator."""


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TemplateError(f"{to_text(value)[:60]!r} is not a number")
    return value
