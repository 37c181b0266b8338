"""`${{ expression }}`: parsing, finding references, evaluating.

The grammar is Jinja's, and so are the filters. Evaluation walks Jinja's syntax
tree over a closed list of node types, instead of running compiled code: a name
is only ever a key of a mapping, there are no calls, and a spec of thousands of
steps compiles nothing. Only the spec's own text is parsed; values that a model
or a command produced go in as values and are never parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scheduler.core.errors import TemplateError

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

RESULT_CHARS_MAX = 64 * 1024 * 1024
_OPERAND_CHARS_MAX = 1_000_000

FILTERS = (
    "abs capitalize count d default dictsort first float indent int items join last length list "
    "lower max min replace reverse round sort string sum title tojson trim truncate unique upper "
    "wordcount"
).split()
TESTS = (
    "boolean defined divisibleby even false float in integer mapping none number odd sequence "
    "string true undefined eq ne lt le gt ge equalto"
).split()

_PLAIN_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\Z|[A-Za-z_]\w*\Z", re.ASCII)
_KEYWORDS = {"and", "or", "not", "in", "is", "if", "else", "true", "false", "none"} | {
    "True",
    "False",
    "None",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that an expression looks up, with the literal keys after it: `("steps", "a", "output")`."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """One parsed expression. `path` is set for a plain dotted path, else `tree`."""

    source: str
    references: tuple[Reference, ...]
    path: tuple[str, ...] | None = None
    tree: nodes.Expr | None = None
    line: int = 1

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The expression's value. Raises TemplateError, which quotes the expression."""
        try:
            if self.path is not None:
                return _walk_path(self.path, scope)
            assert self.tree is not None
            return _evaluate(self.tree, scope)
        except TemplateError as error:
            raise TemplateError(f"${{{{ {self.source} }}}}: {error}") from None


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions in it, as its parts in order."""

    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions, in order."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    def render(self, scope: Mapping[str, Any]) -> Any:
        """The value: of the expression's own type when the text is exactly one, else a text.

        Raises TemplateError.
        """
        if len(self.parts) == 1:
            part = self.parts[0]
            return part if isinstance(part, str) else to_plain(part.evaluate(scope))
        text = "".join(
            part if isinstance(part, str) else to_text(part.evaluate(scope)) for part in self.parts
        )
        if len(text) > RESULT_CHARS_MAX:
            raise TemplateError(f"the text would be over {RESULT_CHARS_MAX // 2**20} MiB")
        return text


def has_template(text: str) -> bool:
    """Whether the text has anything to evaluate."""
    return "${{" in text


@lru_cache(maxsize=32768)
def parse_template(text: str) -> Template:
    """The template in a text of the spec. Raises TemplateError when it does not parse."""
    if not has_template(text):
        return Template((text,))
    plain = _parse_single_path(text)
    if plain is not None:
        return plain
    return Template(tuple(_parse_parts(text)))


def render_value(value: Any, scope: Mapping[str, Any]) -> Any:
    """The JSON value with every text in it rendered; keys stay as they are.

    Raises TemplateError.
    """
    if isinstance(value, str):
        return parse_template(value).render(scope) if has_template(value) else value
    if isinstance(value, Mapping):
        return {key: render_value(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render_value(item, scope) for item in value]
    return value


def texts_in(value: Any) -> list[str]:
    """Every text in a JSON value that has a template in it."""
    if isinstance(value, str):
        return [value] if has_template(value) else []
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in texts_in(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts_in(item)]
    return []


def to_text(value: Any) -> str:
    """A value inside a longer text: texts as they are, everything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(to_plain(value), ensure_ascii=False)


def to_plain(value: Any) -> Any:
    """The value in JSON's own types: views and tuples opened, the rest refused."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_plain(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    raise TemplateError(f"gives a {type(value).__name__}, which is not a JSON value")


def look_up(value: Any, key: Any) -> Any:
    """A key of a mapping or an index of a list; never an attribute. Raises TemplateError."""
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        names = ", ".join(str(name) for name in list(value)[:8]) or "none"
        raise _Missing(f"there is no key {key!r}; there are: {names}")
    if isinstance(value, list | tuple | str) and isinstance(key, int) and not isinstance(key, bool):
        if -len(value) <= key < len(value):
            return value[key]
        raise _Missing(f"there is no item {key}; there are {len(value)}")
    kind = "null" if value is None else type(value).__name__
    raise _Missing(f"{kind} has no key {key!r}")


class _Missing(TemplateError):
    """A name or key that is not there: the one error that `default` forgives."""


def _walk_path(path: tuple[str, ...], scope: Mapping[str, Any]) -> Any:
    value = _name(path[0], scope)
    for key in path[1:]:
        value = look_up(value, key)
    return value


def _name(name: str, scope: Mapping[str, Any]) -> Any:
    if name not in scope:
        raise _Missing(f"{name!r} is not defined; there are: {', '.join(scope)}")
    return scope[name]


def _parse_single_path(text: str) -> Template | None:
    """The common case, `${{ a.b.c }}` and nothing else, without Jinja."""
    if not (text.startswith("${{") and text.endswith("}}")):
        return None
    source = text[3:-2].strip()
    if not _PLAIN_PATH.match(source):
        return None
    path = tuple(source.split("."))
    if _KEYWORDS.intersection(path):
        return None
    return Template((Expression(source, (Reference(path),), path=path),))


def _parse_parts(text: str) -> list[str | Expression]:
    from jinja2 import TemplateSyntaxError, nodes

    try:
        body = _jinja().parse(text).body
    except TemplateSyntaxError as error:
        message = (error.message or "").rstrip(".").replace("end of print statement", "}}")
        raise TemplateError(
            f"not a valid expression: {message} (line {error.lineno} of the text)"
        ) from None
    except RecursionError:
        raise TemplateError("the expression is nested too deeply") from None
    parts: list[str | Expression] = []
    sources = _sources(text)
    for output in body:
        assert isinstance(output, nodes.Output), "blocks and comments have no delimiters here"
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append(node.data)
            else:
                _check(node)
                references = tuple(_references(node))
                parts.append(Expression(next(sources), references, tree=node, line=node.lineno))
    return parts


@lru_cache(maxsize=1)
def _jinja() -> SandboxedEnvironment:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Only `${{ }}` is special. The other delimiters begin with NUL, which no
    # YAML text can contain, so that `{{ }}`, `{% %}` and `{# #}` are plain text.
    environment = ImmutableSandboxedEnvironment(
        variable_start_string="${{",
        variable_end_string="}}",
        block_start_string="\0{%",
        block_end_string="%}\0",
        comment_start_string="\0{#",
        comment_end_string="#}\0",
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.filters["tojson"] = lambda value: json.dumps(to_plain(value), ensure_ascii=False)
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


def _sources(text: str) -> Iterator[str]:
    """The text of each expression, in order, as Jinja's lexer bounds it."""
    if text.count("${{") == 1:
        yield text[text.index("${{") + 3 : text.rindex("}}")].strip()
        return
    source: list[str] = []
    for _, kind, value in _jinja().lex(text):
        if kind == "variable_begin":
            source = []
        elif kind == "variable_end":
            yield "".join(source).strip()
        else:
            source.append(value)


def _check(node: nodes.Node) -> None:
    """Refuse what the language does not have. Raises TemplateError."""
    from jinja2 import nodes

    if isinstance(node, nodes.Call):
        raise TemplateError("calls are not allowed; filters are written `value | filter`")
    if isinstance(node, nodes.Filter):
        _check_known("filter", node.name, FILTERS)
    if isinstance(node, nodes.Test):
        _check_known("test", node.name, TESTS)
    if type(node) not in _evaluators() and not isinstance(
        node, nodes.Operand | nodes.Pair | nodes.Slice | nodes.Keyword
    ):
        raise TemplateError(f"{type(node).__name__.lower()} is not allowed in an expression")
    for child in node.iter_child_nodes():
        _check(child)


def _check_known(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise TemplateError(f"there is no {what} {name!r}; there are: {', '.join(known)}")


def _references(node: nodes.Node) -> list[Reference]:
    from jinja2 import nodes

    path = _literal_path(node)
    if path is not None:
        return [Reference(path)]
    found = [ref for child in node.iter_child_nodes() for ref in _references(child)]
    if isinstance(node, nodes.Getitem | nodes.Getattr):
        base = _literal_path(node.node)
        if base == ("steps",):
            raise TemplateError("steps[...] takes a literal step id, such as steps['my-step']")
    return found


def _literal_path(node: nodes.Node) -> tuple[str, ...] | None:
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        base = _literal_path(node.node)
        return None if base is None else (*base, node.attr)
    if isinstance(node, nodes.Getitem):
        base = _literal_path(node.node)
        key = node.arg
        if base is None or not isinstance(key, nodes.Const):
            return None
        return (*base, str(key.value))
    return None


Scope = Mapping[str, Any]


def _evaluate(node: nodes.Node, scope: Scope) -> Any:
    return _evaluators()[type(node)](node, scope)


@lru_cache(maxsize=1)
def _evaluators() -> dict[type, Callable[[Any, Scope], Any]]:
    """The whole language: what each node type means."""
    import operator

    from jinja2 import nodes

    def arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Any, Scope], Any]:
        def evaluate(node: Any, scope: Scope) -> Any:
            left, right = _evaluate(node.left, scope), _evaluate(node.right, scope)
            return _calculate(function, left, right)

        return evaluate

    return {
        nodes.Const: lambda node, scope: node.value,
        nodes.Name: lambda node, scope: _name(node.name, scope),
        nodes.Getattr: lambda node, scope: look_up(_evaluate(node.node, scope), node.attr),
        nodes.Getitem: _getitem,
        nodes.List: lambda node, scope: [_evaluate(item, scope) for item in node.items],
        nodes.Tuple: lambda node, scope: [_evaluate(item, scope) for item in node.items],
        nodes.Dict: lambda node, scope: {
            to_text(_evaluate(pair.key, scope)): _evaluate(pair.value, scope) for pair in node.items
        },
        nodes.Add: arithmetic(operator.add),
        nodes.Sub: arithmetic(operator.sub),
        nodes.Mul: arithmetic(operator.mul),
        nodes.Div: arithmetic(operator.truediv),
        nodes.FloorDiv: arithmetic(operator.floordiv),
        nodes.Mod: arithmetic(operator.mod),
        nodes.Neg: lambda node, scope: -_number(_evaluate(node.node, scope)),
        nodes.Pos: lambda node, scope: _number(_evaluate(node.node, scope)),
        nodes.Concat: lambda node, scope: "".join(
            to_text(_evaluate(item, scope)) for item in node.nodes
        ),
        nodes.And: lambda node, scope: _evaluate(node.left, scope) and _evaluate(node.right, scope),
        nodes.Or: lambda node, scope: _evaluate(node.left, scope) or _evaluate(node.right, scope),
        nodes.Not: lambda node, scope: not _evaluate(node.node, scope),
        nodes.CondExpr: _conditional,
        nodes.Compare: _compare,
        nodes.Filter: _filter,
        nodes.Test: _test,
    }


def _getitem(node: Any, scope: Scope) -> Any:
    from jinja2 import nodes

    value = _evaluate(node.node, scope)
    if not isinstance(node.arg, nodes.Slice):
        return look_up(value, _evaluate(node.arg, scope))
    if not isinstance(value, list | tuple | str):
        raise TemplateError(f"a {type(value).__name__} cannot be sliced")
    bounds = [
        None if part is None else int(_number(_evaluate(part, scope)))
        for part in (node.arg.start, node.arg.stop, node.arg.step)
    ]
    return value[slice(*bounds)]


def _conditional(node: Any, scope: Scope) -> Any:
    if _evaluate(node.test, scope):
        return _evaluate(node.expr1, scope)
    return None if node.expr2 is None else _evaluate(node.expr2, scope)


def _compare(node: Any, scope: Scope) -> bool:
    import operator

    functions: dict[str, Callable[[Any, Any], Any]] = {
        "eq": operator.eq,
        "ne": operator.ne,
        "lt": operator.lt,
        "lteq": operator.le,
        "gt": operator.gt,
        "gteq": operator.ge,
        "in": lambda left, right: left in right,
        "notin": lambda left, right: left not in right,
    }
    left = _evaluate(node.expr, scope)
    for operand in node.ops:
        right = _evaluate(operand.expr, scope)
        if not _calculate(functions[operand.op], left, right):
            return False
        left = right
    return True


def _filter(node: Any, scope: Scope) -> Any:
    arguments = [_evaluate(item, scope) for item in node.args]
    keywords = {item.key: _evaluate(item.value, scope) for item in node.kwargs}
    if node.name in ("default", "d"):
        try:
            value = _evaluate(node.node, scope)
        except _Missing:
            return arguments[0] if arguments else ""
    else:
        value = _evaluate(node.node, scope)
    value = to_plain(value)
    try:
        result = _jinja().call_filter(node.name, value, arguments, keywords)
    except TemplateError:
        raise
    except Exception as error:
        # The filters are Jinja's, over any JSON value: they raise what they like.
        raise TemplateError(f"filter {node.name!r}: {error}") from None
    if isinstance(result, bool | int | float | str | dict) or result is None:
        return result
    return [list(item) if isinstance(item, tuple) else item for item in result]


def _test(node: Any, scope: Scope) -> bool:
    if node.name in ("defined", "undefined"):
        try:
            _evaluate(node.node, scope)
        except _Missing:
            return bool(node.name == "undefined")
        return bool(node.name == "defined")
    value = to_plain(_evaluate(node.node, scope))
    arguments = [_evaluate(item, scope) for item in node.args]
    try:
        return bool(_jinja().call_test(node.name, value, arguments))
    except Exception as error:
        raise TemplateError(f"test {node.name!r}: {error}") from None


def _calculate(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    for operand in (left, right):
        if isinstance(operand, str | list) and len(operand) > _OPERAND_CHARS_MAX:
            raise TemplateError("an operand is too long for an operator; use a filter or a step")
    name = function.__name__
    if name == "mod" and not isinstance(left, int | float):
        raise TemplateError("% takes numbers")
    if name == "mul" and not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise TemplateError("* takes numbers")
    try:
        return function(left, right)
    except (TypeError, ArithmeticError) as error:
        raise TemplateError(str(error)) from None


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TemplateError(f"{to_text(value)[:60]!r} is not a number")
    return value
