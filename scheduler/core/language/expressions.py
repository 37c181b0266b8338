"""The expression language inside `${{ }}`: which syntax is allowed, and which names it refers to.

The grammar and the filters are Jinja's. Expressions are evaluated by a walk over Jinja's syntax
tree with a closed list of node types, instead of Jinja's compiled code. So names are only keys
of mappings, functions cannot be called, and a large spec needs no compilation. Evaluation is left
to `evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.arguments import check_arguments
from orc.scheduler.core.language.evaluation import (
    FILTERS,
    STATUS_CALLS,
    TESTS,
    decide,
    evaluate,
    evaluators,
    status_call,
    walk_path,
)

if TYPE_CHECKING:
    from jinja2 import nodes


_PLACES_OF_NAMES = {"map": 0, "select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}
"""Filters that apply another filter or a test, and the place of its name in their arguments."""


class Reference(Struct, frozen=True):
    """A name in an expression with the literal keys after it, such as `("steps", "a", "output")`."""

    path: tuple[str, ...]


class Expression(Struct, frozen=True):
    """One parsed expression. `path` is set for a plain dotted path, otherwise `tree`.

    `calls` are the condition functions that it calls.
    """

    source: str
    references: tuple[Reference, ...]
    path: tuple[str, ...] | None = None
    tree: nodes.Expr | None = None
    line: int = 1
    calls: frozenset[str] = frozenset()

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The expression's value. Raises TemplateError; its message quotes the expression."""
        if self.path is not None:
            path = self.path
            return self._quoting(lambda: walk_path(path, scope))
        return self._quoting(lambda: evaluate(self._tree, scope))

    def holds(self, scope: Mapping[str, Any]) -> bool:
        """The value of a condition. Raises TemplateError if it is neither true nor false."""
        return bool(self._quoting(lambda: decide(self._tree, scope)))

    @property
    def _tree(self) -> nodes.Expr:
        assert self.tree is not None
        return self.tree

    def _quoting(self, compute: Callable[[], Any]) -> Any:
        try:
            return compute()
        except TemplateError as error:
            raise TemplateError(f"${{{{ {self.source} }}}}: {error}") from None
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            # Python raises these for operations on unsuitable values.
            raise TemplateError(f"${{{{ {self.source} }}}}: {error}") from None


def check_node(node: nodes.Node, *, is_condition: bool = False) -> None:
    """Raise TemplateError for syntax that the language does not allow."""
    from jinja2 import nodes

    if isinstance(node, nodes.Call):
        if is_condition and status_call(node) is not None:
            return
        raise TemplateError(
            "function calls are not allowed here; write a filter as `value | filter`"
            if not is_condition
            else f"a condition may only call {', '.join(STATUS_CALLS)}"
        )
    if isinstance(node, nodes.Filter):
        _check_known("filter", node.name, FILTERS)
        check_arguments("filter", node)
        place = _PLACES_OF_NAMES.get(node.name)
        named = node.args[place] if place is not None and len(node.args) > place else None
        if isinstance(named, nodes.Const):
            what, known = ("filter", FILTERS) if node.name == "map" else ("test", TESTS)
            _check_known(what, str(named.value), known)
    if isinstance(node, nodes.Test):
        _check_known("test", node.name, TESTS)
        check_arguments("test", node)
    if type(node) not in evaluators() and not isinstance(
        node, nodes.Operand | nodes.Pair | nodes.Slice | nodes.Keyword
    ):
        raise TemplateError(f"{type(node).__name__.lower()} is not allowed in an expression")
    for child in node.iter_child_nodes():
        check_node(child, is_condition=is_condition)


def _check_known(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise TemplateError(f"there is no {what} {name!r}; known: {', '.join(known)}")


def references_in(node: nodes.Node) -> list[Reference]:
    from jinja2 import nodes

    path = literal_path(node)
    if path is not None:
        return [Reference(path)]
    if isinstance(node, nodes.Call):
        return []
    found = [ref for child in node.iter_child_nodes() for ref in references_in(child)]
    if isinstance(node, nodes.Getitem | nodes.Getattr):
        base = literal_path(node.node)
        if base == ("steps",):
            raise TemplateError("steps[...] must have a literal step id, such as steps['my-step']")
    return found


def literal_path(node: nodes.Node) -> tuple[str, ...] | None:
    """The name and the literal keys after it, if the expression has nothing else."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        base = literal_path(node.node)
        return None if base is None else (*base, node.attr)
    if isinstance(node, nodes.Getitem):
        base = literal_path(node.node)
        key = node.arg
        if base is None or not isinstance(key, nodes.Const):
            return None
        return (*base, str(key.value))
    return None


def calls_in(node: nodes.Node) -> frozenset[str]:
    """The condition functions that the expression calls."""
    from jinja2 import nodes

    found = [node] if isinstance(node, nodes.Call) else []
    found += node.find_all(nodes.Call)
    return frozenset(name for call in found if (name := status_call(call)))
