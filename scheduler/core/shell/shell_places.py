"""Where the references to values stand in a shell text, and whether they need quotes there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.expressions import Expression
from orc.scheduler.core.shell.shell_tree import parse_script, walk

if TYPE_CHECKING:
    from tree_sitter import Node

_NEW_CONTEXT = ("command_substitution", "process_substitution")
_ARITHMETIC = ("arithmetic_expansion", "c_style_for_statement", "subscript")


def places_of(script: str, references: Mapping[int, Expression]) -> Iterator[bool]:
    """Whether each reference needs double quotes, in order.

    `references` are the expressions by the offset in bytes at which their reference ends. Raises
    TemplateError for a reference that the shell would not expand.
    """
    found: dict[int, bool] = {}
    for node in walk(parse_script(script)):
        if node.type == "expansion" and node.end_byte in references:
            found[node.end_byte] = _needs_quotes(node, references[node.end_byte])
        elif node.type == "comment":
            for end in references:
                if node.start_byte < end <= node.end_byte:
                    found[end] = False
    for end, expression in references.items():
        if end not in found:
            raise TemplateError(
                f"${{{{ {expression.source} }}}} is {_place(script, end)}, where the shell would "
                "not read its value as one word; move it into double quotes, or outside quotes"
            )
    return iter([found[end] for end in references])


def _needs_quotes(node: Node, expression: Expression) -> bool:
    above = node.parent
    while above is not None:
        if above.type == "command_substitution" and above.children[0].type == "`":
            raise TemplateError(
                f"${{{{ {expression.source} }}}} is in backticks, where the shell would not read "
                "its value as one word; write $(...) instead"
            )
        above = above.parent
    above = node.parent
    while above is not None and above.type not in _NEW_CONTEXT:
        is_arithmetic = above.type in _ARITHMETIC or (
            above.type == "compound_statement" and above.children[0].type == "(("
        )
        if above.type in ("string", "heredoc_body") or is_arithmetic:
            return False
        above = above.parent
    return True


def _place(script: str, end: int) -> str:
    for node in walk(parse_script(script)):
        if not (node.start_byte < end <= node.end_byte):
            continue
        if node.type in ("raw_string", "ansi_c_string"):
            return "in single quotes"
        if node.type == "heredoc_body":
            return "in a heredoc whose mark is quoted"
    before = script.encode()[:end].decode(errors="ignore").rpartition("${ORC_V")[0]
    return "after a backslash" if before.endswith("\\") else "in a pattern or a quoted part"
