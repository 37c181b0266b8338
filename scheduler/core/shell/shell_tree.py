"""Reads shell text into a syntax tree, with the grammar of bash from tree-sitter.

The parser is loaded when the first text with a template is read. What the commands of a text do
with values is left to `shell_values.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.shell.shell_words import BY_VARIABLE, Hole, Word

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPE_IN_QUOTES = re.compile(r'\\([$`"\\\n])')
_STARTS_CODE = re.compile(r"`|\$\(|\$\{|\$\[|<\(|>\(")
_OPAQUE = frozenset("raw_string comment ansi_c_string".split())
_STATEMENTS = frozenset("command redirected_statement declaration_command".split())
_OPERATORS = frozenset("== =~".split())
_WORDS = frozenset(
    "word string raw_string ansi_c_string translated_string number concatenation expansion "
    "simple_expansion command_substitution process_substitution arithmetic_expansion "
    "brace_expression extglob_pattern".split()
)
_TEXT_BYTES_MAX = 131_072


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def parse_script(text: str) -> Node:
    """The root of the text's syntax tree.

    Raises TemplateError for a text that cannot be read, or not for certain.
    """
    content = text.encode()
    if len(content) > _TEXT_BYTES_MAX:
        raise TemplateError(f"the shell text is too long to be read; {BY_VARIABLE}")
    root = _parser().parse(content).root_node
    for node in walk(root):
        line = node.start_point[0] + 1
        if node.type == "ERROR" or node.is_missing:
            raise TemplateError(
                f"line {line} of the shell text cannot be read with certainty, so that it is "
                f"unknown what happens to the values in it; write it more simply, or {BY_VARIABLE}"
            )
        if _has_stray_words(node):
            raise TemplateError(
                f"line {line} of the shell text has words that orc cannot place; write redirections "
                f"at the end of a command, or {BY_VARIABLE}"
            )
        if _hides_code(node):
            raise TemplateError(
                f"line {line} of the shell text has a substitution inside {_shown(node)!r}, which "
                f"orc does not read; put its result into a variable first, or {BY_VARIABLE}"
            )
    return root


def _hides_code(node: Node) -> bool:
    """Whether the parser took a substitution for a part of a plain text."""
    if node.type == "ansi_c_string":
        return "\\'" in text_of(node)
    if not node.is_named or node.child_count or node.type in _OPAQUE:
        return False
    if node.type in ("heredoc_body", "heredoc_start", "heredoc_end") and is_quoted_heredoc(node):
        return False
    return bool(_STARTS_CODE.search(_ESCAPE.sub("", text_of(node))))


def _has_stray_words(node: Node) -> bool:
    """Whether the parser left out a text, or has words of a redirection that belong to no command."""
    if any(gap.strip("\\\n \t;&") not in ("", "-") for _, gap in gaps(node)):
        return True
    is_command = any(child.type == "command" for child in node.children)
    return node.type == "redirected_statement" and not is_command and any(_words_after(node))


def gaps(node: Node) -> Iterator[tuple[int, str]]:
    """The texts in a statement that the parser left out, with their offsets."""
    if node.type not in _STATEMENTS:
        return
    content = node.text or b""
    at = 0
    for child in node.children:
        start = child.start_byte - node.start_byte
        gap = content[at:start].decode()
        if gap.strip():
            yield node.start_byte + at, gap
        at = child.end_byte - node.start_byte


def words_of(command: Node) -> list[Node | int]:
    """The nodes of a command's words in order; an offset for a hyphen that has no node.

    A command may have words after its redirections, `cat > out.txt a.txt`, which the parser counts
    as a part of these.
    """
    found: list[tuple[int, Node | int]] = [
        (child.start_byte, child)
        for child in command.children
        if (child.is_named or child.type in _OPERATORS)
        and child.type not in ("variable_assignment", "comment")
        and not child.type.endswith("_redirect")
    ]
    around = command.parent
    statements = [command]
    if around is not None and around.type == "redirected_statement":
        statements.append(around)
        found += [(child.start_byte, child) for child in _words_after(around)]
    for statement in statements:
        found += [(at, at) for at, gap in gaps(statement) if gap.strip("\\\n \t") == "-"]
    return [word for _, word in sorted(found, key=lambda pair: pair[0])]


def _words_after(statement: Node) -> Iterator[Node]:
    """The words after the target of a redirection."""
    for redirect in statement.children:
        if redirect.type == "heredoc_redirect":
            yield from (child for child in redirect.children if child.type in _WORDS)
        elif redirect.type.endswith("_redirect"):
            yield from redirect.children_by_field_name("destination")[1:]
        if redirect.type.endswith("_redirect"):
            yield from _words_after(redirect)


def is_quoted_heredoc(node: Node) -> bool:
    """Whether the shell takes the heredoc that has the node as it is."""
    redirect = node.parent
    start = (
        next((c for c in redirect.children if c.type == "heredoc_start"), None)
        if redirect
        else None
    )
    return start is not None and any(mark in text_of(start) for mark in "'\"\\")


def _shown(node: Node) -> str:
    return " ".join(text_of(node).split())[:40]


def text_of(node: Node) -> str:
    """The node's text in the script."""
    return (node.text or b"").decode()


def line_of(node: Node) -> int:
    """The node's line in the script, from 1."""
    return int(node.start_point[0]) + 1


def walk(node: Node) -> Iterator[Node]:
    """The node and all nodes below it, in the order of the text."""
    pending = [node]
    while pending:
        found = pending.pop()
        yield found
        pending.extend(reversed(found.children))


ReadHole = Callable[["Node", bool], "str | Hole"]
"""Reads a node that the shell expands; the flag says whether it is in double quotes."""


def read_word(node: Node, read_hole: ReadHole) -> Word:
    """The word of a node. `read_hole` reads the nodes that the shell expands."""
    parts: list[str | Hole] = []
    _collect(node, read_hole, parts, quoted=False)
    joined: list[str | Hole] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, str) and isinstance(last, str):
            joined[-1] = last + part
        elif part != "":
            joined.append(part)
    return Word(tuple(joined) or ("",), line_of(node))


def _collect(node: Node, read_hole: ReadHole, parts: list[str | Hole], *, quoted: bool) -> None:
    text = text_of(node)
    match node.type:
        case "word" | "number" | "variable_name" | "extglob_pattern" | "regex":
            parts.append(_ESCAPE.sub(_unescaped, text))
        case "raw_string":
            parts.append(text.lstrip()[1:-1])
        case "string_content" | "heredoc_content":
            parts.append(_ESCAPE_IN_QUOTES.sub(_unescaped, text))
        case "ansi_c_string" if "\\" not in text:
            parts.append(text.lstrip()[2:-1])
        case "ansi_c_string":
            parts.append(Hole(text, is_value=False))
        case "expansion" | "simple_expansion" | "command_substitution" | "process_substitution":
            # The parser counts blanks before a substitution as a part of it.
            parts.append(text[: len(text) - len(text.lstrip())])
            parts.append(read_hole(node, quoted))
        case "arithmetic_expansion":
            parts.append("0")
        case "brace_expression":
            parts.append(Hole(text, is_value=True, splits=True))
        case "concatenation" if _has_braces(node):
            # It may become several words.
            parts.append(Hole(text, is_value=True, splits=True))
        case "heredoc_body" if is_quoted_heredoc(node):
            parts.append(text)
        case _ if not node.child_count:
            parts.append(text)
        case _:
            _collect_children(node, read_hole, parts, quoted=quoted)


def _has_braces(node: Node) -> bool:
    bare = "".join(text_of(child) for child in node.children if child.type == "word")
    return "{" in _ESCAPE.sub("", bare) and "," in bare


def _collect_children(
    node: Node, read_hole: ReadHole, parts: list[str | Hole], *, quoted: bool
) -> None:
    """The children's texts, and the text between them, which has no nodes."""
    content = node.text or b""
    at = 0
    is_quoted = quoted or node.type in ("string", "heredoc_body")
    for child in node.children:
        start = child.start_byte - node.start_byte
        parts.append(content[at:start].decode())
        if not (node.type == "string" and child.type.endswith('"')):
            _collect(child, read_hole, parts, quoted=is_quoted)
        at = child.end_byte - node.start_byte
    parts.append(content[at:].decode())


def _unescaped(found: re.Match[str]) -> str:
    return "" if found[1] == "\n" else found[1]
