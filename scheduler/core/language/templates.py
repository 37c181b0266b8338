"""Parses and renders texts with `${{ expression }}`.

Only the spec's own texts are parsed. The output of a model or a command is only a value, and is
never parsed. Expressions are left to `expressions.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from orc.ledger.bounds import Size, Unstorable, check_value
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.evaluation import jinja_environment
from orc.scheduler.core.language.expressions import (
    Expression,
    Reference,
    calls_in,
    check_node,
    references_in,
)
from orc.scheduler.core.language.value_bounds import join_texts
from orc.scheduler.core.language.values import to_plain, to_text

_PLAIN_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\Z|[A-Za-z_]\w*\Z", re.ASCII)


_SHOWN_CHARS = 80
_INSIDE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
# The operators of other languages, the longer ones first, by those that mean the same here.
_FOREIGN = {
    "&&": "and",
    "||": "or",
    "!==": "!=",
    "===": "==",
    "<>": "!=",
    "?": "... if ... else ...",
}


_KEYWORDS = {"and", "or", "not", "in", "is", "if", "else", "true", "false", "none"} | {
    "True",
    "False",
    "None",
}


class Template(Struct, frozen=True):
    """A parsed text: its literal parts and expressions, in order."""

    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions, in order."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    def render(self, scope: Mapping[str, Any]) -> Any:
        """The value. If the text is one expression, it keeps its type; otherwise it is a string.

        Raises TemplateError.
        """
        if len(self.parts) == 1:
            part = self.parts[0]
            return part if isinstance(part, str) else to_plain(part.evaluate(scope))
        return join_texts(
            part if isinstance(part, str) else to_text(part.evaluate(scope)) for part in self.parts
        )


def has_template(text: str) -> bool:
    """Whether the text contains an expression."""
    return "${{" in text


@lru_cache(maxsize=32768)
def parse_template(text: str) -> Template:
    """Parse a text of the spec. Raises TemplateError."""
    if not has_template(text):
        return Template((text,))
    plain = _parse_single_path(text)
    if plain is not None:
        return plain
    return Template(tuple(_parse_parts(text)))


@lru_cache(maxsize=32768)
def parse_condition(text: str) -> Expression:
    """Parse an `if` or `until`; the braces are optional. Raises TemplateError."""
    source = text.strip()
    if source.startswith("${{") and source.endswith("}}") and source.count("${{") == 1:
        source = source[3:-2].strip()
    if not source:
        raise TemplateError("must be one expression, such as steps.x.output.ok")
    if "${{" in source:
        raise TemplateError(
            "must be one expression: leave the braces out, or put ${{ }} around the whole, such as "
            "${{ steps.x.output == 3 }}"
        )
    parts = _parse_parts(f"${{{{ {source} }}}}", is_condition=True)
    if len(parts) != 1 or not isinstance(parts[0], Expression):
        raise TemplateError("must be one expression, such as steps.x.output.ok")
    return parts[0]


def render_value(value: Any, scope: Mapping[str, Any]) -> Any:
    """Render every text in a JSON value, except keys. Raises TemplateError."""
    return _Rendering(scope).render(value)


class _Rendering:
    """Renders the texts of one value, and stops when together they are too large to be stored."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope
        self._size = Size(0, 0)

    def render(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value) if has_template(value) else value
        if isinstance(value, Mapping):
            return {key: self.render(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.render(item) for item in value]
        return value

    def _text(self, text: str) -> Any:
        rendered = parse_template(text).render(self._scope)
        try:
            self._size = check_value(rendered, beside=self._size)
        except Unstorable as error:
            raise TemplateError(
                f"{text[:_SHOWN_CHARS]}: the value cannot be used: {error}"
            ) from None
        return rendered


def texts_in(value: Any) -> list[str]:
    """Every text in a JSON value that contains an expression, except keys."""
    return [text for text in every_text(value) if has_template(text)]


def every_text(value: Any) -> Iterator[str]:
    """Every text in a JSON value, except keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from every_text(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from every_text(item)


def _parse_single_path(text: str) -> Template | None:
    """Parse the common case `${{ a.b.c }}` without Jinja; None for any other text."""
    if not (text.startswith("${{") and text.endswith("}}")):
        return None
    source = text[3:-2].strip()
    if not _PLAIN_PATH.match(source):
        return None
    path = tuple(source.split("."))
    if _KEYWORDS.intersection(path):
        return None
    return Template((Expression(source, (Reference(path),), path=path),))


def _parse_parts(text: str, *, is_condition: bool = False) -> list[str | Expression]:
    try:
        return _parse(text, is_condition=is_condition)
    except RecursionError:
        raise TemplateError("the expression is nested too deeply") from None
    except ValueError as error:
        # For instance a number with thousands of digits.
        raise TemplateError(f"not a valid expression: {error}") from None


def _foreign_operator(text: str, message: str) -> str:
    """A hint at the operator that was meant, for an expression that was refused with the message."""
    source = _QUOTED.sub("", " ".join(_INSIDE.findall(text)))
    for foreign, own in _FOREIGN.items():
        if foreign in source:
            return f"; in place of `{foreign}`, write `{own}`"
    if "'!'" in message:
        return "; in place of `!`, write `not`"
    return "; to compare, write `==`" if "'='" in message else ""


def _parse(text: str, *, is_condition: bool) -> list[str | Expression]:
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.parser import Parser

    try:
        # `environment.parse` would compile Python code for the traceback of each error.
        body = Parser(jinja_environment(), text).parse().body
    except TemplateSyntaxError as error:
        message = (error.message or "").rstrip(".").replace("end of print statement", "}}")
        if is_condition:
            # The author wrote no braces.
            message = message.replace("unexpected '}}'", "the expression ends too early")
        raise TemplateError(
            f"not a valid expression: {message} (line {error.lineno} of the text)"
            f"{_foreign_operator(text, message)}"
        ) from None
    parts: list[str | Expression] = []
    sources = _sources(text)
    for output in body:
        assert isinstance(output, nodes.Output), "blocks and comments have no delimiters here"
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append(node.data)
            else:
                check_node(node, is_condition=is_condition)
                parts.append(
                    Expression(
                        next(sources),
                        tuple(references_in(node)),
                        tree=node,
                        line=node.lineno,
                        calls=calls_in(node) if is_condition else frozenset(),
                    )
                )
    return parts


def _sources(text: str) -> Iterator[str]:
    """The source text of each expression, in order, as delimited by Jinja's lexer."""
    if text.count("${{") == 1 and text.count("}}") == 1 and "}}}" not in text:
        yield text[text.index("${{") + 3 : text.rindex("}}")].strip()
        return
    source: list[str] = []
    for _, kind, value in jinja_environment().lex(text):
        if kind == "variable_begin":
            source = []
        elif kind == "variable_end":
            yield "".join(source).strip()
        else:
            source.append(value)
