"""Checks that filters and tests have the arguments that they take, before anything is computed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.evaluation import jinja_environment

if TYPE_CHECKING:
    from jinja2 import nodes


def check_arguments(what: Literal["filter", "test"], node: nodes.Filter | nodes.Test) -> None:
    """Raise TemplateError for a filter or test with too few, too many or unknown arguments."""
    given: list[None] = [None] * (1 + len(node.args))
    named: dict[str, None] = {str(item.key): None for item in node.kwargs}
    try:
        _signature(what, node.name).bind(*given, **named)
    except TypeError as error:
        raise TemplateError(f"{what} {node.name!r}: {error}") from None


@cache
def _signature(what: Literal["filter", "test"], name: str) -> inspect.Signature:
    environment = jinja_environment()
    known: Mapping[str, Any] = environment.filters if what == "filter" else environment.tests
    if inspect.isbuiltin(known[name]):
        return _signature_of_builtin(known[name])
    found = inspect.signature(known[name])
    parameters = list(found.parameters.values())
    # Jinja gives some of its functions this besides what the expression has.
    is_passed = parameters[0].name in ("environment", "eval_ctx", "context")
    return found.replace(parameters=parameters[is_passed:])


def _signature_of_builtin(function: Any) -> inspect.Signature:
    """That of `len`, `abs` or an operator: `($module, a, b, /)`, which `inspect` would compile."""
    words = function.__text_signature__.strip("()").split(", ")
    kind = inspect.Parameter.POSITIONAL_ONLY
    return inspect.Signature(
        [inspect.Parameter(word, kind) for word in words if word.isidentifier()]
    )
