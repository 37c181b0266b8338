"""Follows the values of templates through shell text, to where they could be run as code.

A value is an environment variable of the shell, which expands it once and never reads it again. So
it is data, unless a command reads its words as code (`programs.py`), or the shell itself reads it
again: in arithmetic, in a subscript, as the name of a variable. When in doubt, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.shell.file_flow import names_written
from orc.scheduler.core.shell.inner_commands import name_of
from orc.scheduler.core.shell.program_rules import Surroundings
from orc.scheduler.core.shell.programs import check_command
from orc.scheduler.core.shell.shell_builtins import check_assignment, check_test
from orc.scheduler.core.shell.shell_tree import (
    parse_script,
    text_of,
    walk,
)
from orc.scheduler.core.shell.shell_words import BY_VARIABLE, NO_INPUT, Hole, Input, Word, refuse
from orc.scheduler.core.shell.table_of_files import FETCHING, runs_by_itself
from orc.scheduler.core.shell.value_flow import EXPANDED, Flow, shortened
from orc.scheduler.core.shell.written_files import WrittenFiles

if TYPE_CHECKING:
    from tree_sitter import Node

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ARITHMETIC_TESTS = frozenset("-eq -ne -lt -le -gt -ge".split())
_WITHOUT_STDIN = frozenset("echo printf true date seq".split())
_LEVELS_MAX = 8


def _file_problem(file: Word) -> TemplateError:
    return refuse(
        Hole(str(file), True),
        "programs run this file by themselves, and the text writes values into it, or may do so",
        f"write the text of the file in the spec, or {BY_VARIABLE}",
    )


_NO_ARITHMETIC = (
    "the shell would read the value as an expression, which can run commands",
    "compute it in the template, or make it a number there: `${{ inputs.n | int }}`",
)


def check_script(
    text: str,
    templates: Mapping[int, Hole | None],
    *,
    tainted: frozenset[str] = frozenset(),
    written: WrittenFiles | None = None,
    stdin: Input = NO_INPUT,
    level: int = 0,
) -> None:
    """Raise TemplateError if the shell text could run the value of a template as code.

    `templates` are the references to values, by the offset in bytes at which each ends; None for
    a value that is a number. `tainted` are variables that may have values, `written` files.
    """
    if level > _LEVELS_MAX:
        raise refuse(Hole(text[:40], True), "shell texts are nested too deeply", BY_VARIABLE)
    root = parse_script(text)
    _Script(root, Flow(root, templates, tainted, written or WrittenFiles()), level).check(stdin)


class _Script:
    def __init__(self, root: Node, flow: Flow, level: int) -> None:
        self._root = root
        self._flow = flow
        self._level = level

    def check(self, stdin: Input) -> None:
        reads_file = any(
            node.type == "redirected_statement"
            and text_of(node).startswith("exec")
            and any(child.type == "file_redirect" for child in node.children)
            for node in walk(self._root)
        )
        if reads_file:
            stdin = Input(Hole("the input that `exec` opens", True))
        visited = list(self._visit(self._root, stdin))
        while self._flow.find_files(visited):
            # What a command reads from such a file is a value too.
            visited = list(self._visit(self._root, stdin))
        for word in (self._flow.written.named | self._flow.written.known).values():
            if runs_by_itself(word.literal or word.suffix):
                raise _file_problem(word)
        for node, given in visited:
            self._check_node(node, given)

    def _check_node(self, node: Node, stdin: Input) -> None:
        match node.type:
            case "command":
                self._check_command(node, stdin)
            case "declaration_command":
                self._check_declaration(node)
            case "unset_command":
                words = [Word(("unset",)), *map(self._flow.word, node.named_children)]
                check_command(words, self._around(node, NO_INPUT))
            case "variable_assignment":
                name = text_of(node.children[0])
                check_assignment(name, self._flow.word(node))
            case "for_statement":
                variable = node.child_by_field_name("variable")
                for value in node.children_by_field_name("value"):
                    check_assignment(text_of(variable) if variable else "", self._flow.word(value))
            case "test_command":
                self._check_test(node)
            case "arithmetic_expansion":
                self._refuse_arithmetic(node)
            case "compound_statement" if node.children and node.children[0].type == "((":
                self._refuse_arithmetic(node)
            case "c_style_for_statement":
                for field in ("initializer", "condition", "update"):
                    for part in node.children_by_field_name(field):
                        self._refuse_arithmetic(part)
            case "subscript":
                index = node.child_by_field_name("index")
                if index is not None and text_of(index) not in ("@", "*"):
                    self._refuse_arithmetic(index)
            case "array":
                self._check_array(node)
            case "expansion":
                self._check_expansion(node)

    def _visit(self, node: Node, stdin: Input) -> Iterator[tuple[Node, Input]]:
        """The node and those below it, each with the standard input of its command."""
        match node.type:
            case "command" | "redirected_statement":
                stdin = self._input_of(node, stdin)
            case "function_definition":
                stdin = Input(Hole("the input of a function", True))
            case "process_substitution" if text_of(node).startswith(">"):
                stdin = Input(Hole(shortened(node), True))
        yield node, stdin
        if node.type in ("pipeline", "redirected_statement", "heredoc_redirect"):
            yield from self._visit_stages(node, stdin)
            return
        for child in node.children:
            yield from self._visit(child, stdin)

    def _visit_stages(self, node: Node, stdin: Input) -> Iterator[tuple[Node, Input]]:
        """Visit the parts of a pipeline: each but the first reads what the one before prints."""
        is_piped = False
        before: list[Node] = []
        for child in node.children:
            if child.type in ("|", "|&"):
                is_piped = True
                if node.type != "pipeline":
                    before = [found for found in (node, node.parent) if found is not None]
                continue
            if is_piped or (node.type == "heredoc_redirect" and child.type == "pipeline"):
                given = self._piped(before or [node])
                yield from self._visit(child, given)
            else:
                yield from self._visit(child, stdin)
            before.append(child)

    def _piped(self, before: list[Node]) -> Input:
        """What the statements before a `|` print."""
        for node in before:
            commands = [found for found in walk(node) if found.type == "command"]
            if not commands or self._flow.value_in(node):
                return Input(
                    Hole(f"what {shortened(node)} prints", True, in_doubt=self._is_doubt(before))
                )
            for command in commands:
                words = self._flow.words(command)
                if not words or words[0].literal not in _WITHOUT_STDIN:
                    shown = f"what {shortened(command)} prints"
                    return Input(Hole(shown, True, in_doubt=self._is_doubt(before)))
        # The words of `echo` and `printf`, in a form that shows what a shell would run.
        return Input(text="; ".join(" ".join(map(str, self._flow.words(c)[1:])) for c in commands))

    def _is_doubt(self, before: list[Node]) -> bool:
        """Whether nothing shows that a value is in what the statements print."""
        for node in before:
            words = [self._flow.words(found) for found in walk(node) if found.type == "command"]
            if any(name_of(command[0]) in FETCHING for command in words if command):
                return True
            if self._flow.value_in(node, certain=True) or any(
                names_written(command[1:], self._flow.written) for command in words
            ):
                return False
        return True

    def _input_of(self, node: Node, stdin: Input) -> Input:
        """The standard input of a statement, after its own redirections."""
        for child in node.children:
            if child.type == "herestring_redirect":
                stdin = self._input_text(child.named_children[-1])
            elif child.type == "heredoc_redirect":
                stdin = NO_INPUT
                for body in child.children:
                    if body.type == "heredoc_body":
                        stdin = self._input_text(body)
            elif child.type == "file_redirect" and text_of(child).lstrip("0").startswith("<"):
                target = child.child_by_field_name("destination")
                stdin = (
                    NO_INPUT if target is None else self._input_file(child, self._flow.word(target))
                )
        return stdin

    def _input_text(self, node: Node) -> Input:
        word = self._flow.word(node)
        return Input(word.value) if word.value else Input(text=str(word))

    def _input_file(self, redirect: Node, file: Word) -> Input:
        if file.value:
            return Input(file.value)
        if text_of(redirect).lstrip("0").startswith("<&") and file.literal != "-":
            return Input(Hole(shortened(redirect), True))
        if self._flow.written.may_have(file):
            return Input(Hole(str(file), True))
        return NO_INPUT

    def _check_command(self, node: Node, stdin: Input) -> None:
        words = self._flow.words(node)
        if not words:
            return
        check_command(words, self._around(node, stdin))
        if words[0].literal == "let":
            for name in _NAME.findall(" ".join(map(str, words[1:]))):
                if self._flow.is_tainted(name):
                    raise refuse(Hole(name, True), *_NO_ARITHMETIC)

    def _around(self, node: Node, stdin: Input) -> Surroundings:
        written = self._flow.written.seen_from(node.start_byte)

        def read_shell(text: str, stdin: Input) -> None:
            """Check shell text that another shell, or `eval`, reads. It may have all variables."""
            check_script(
                text,
                {},
                tainted=self._flow.tainted,
                written=written,
                stdin=stdin,
                level=self._level + 1,
            )

        return Surroundings(
            read_shell,
            stdin,
            written,
            tainted=self._flow.tainted,
            sets_path=self._flow.sets_path,
        )

    def _check_declaration(self, node: Node) -> None:
        words = [self._flow.word(child) for child in node.children if child.is_named]
        name = text_of(node.children[0])
        options = [word.literal or "" for word in words if word.prefix.startswith("-")]
        for child, word in zip([c for c in node.children if c.is_named], words, strict=True):
            value = word.value
            if value is None:
                continue
            if child.type != "variable_assignment" and "=" not in word.prefix:
                raise refuse(
                    value,
                    f"{name} would read the value as the name of a variable",
                    "write the name in the text",
                )
            if child.type != "variable_assignment":
                check_assignment(word.prefix.partition("=")[0], word)
            if any("i" in option or "n" in option or "A" in option for option in options):
                raise refuse(value, *_NO_ARITHMETIC)
        if any("i" in option or "n" in option for option in options):
            for word in words:
                variable = str(word).partition("=")[0]
                if self._flow.is_tainted(variable):
                    raise refuse(Hole("$" + variable, True), *_NO_ARITHMETIC)

    def _check_test(self, node: Node) -> None:
        if node.children[0].type == "[[":
            for found in walk(node):
                if found.type != "test_operator":
                    continue
                around = found.parent
                if text_of(found) in _ARITHMETIC_TESTS and around is not None:
                    self._refuse_arithmetic(around)
                if text_of(found) in ("-v", "-R") and around is not None:
                    self._refuse_arithmetic(around)
        elif node.children[0].type == "[":
            check_test(list(self._test_words(node)))
        else:
            self._refuse_arithmetic(node)

    def _test_words(self, node: Node) -> Iterator[Word]:
        for child in node.children:
            if child.type in ("[", "]"):
                continue
            if child.type.endswith("_expression"):
                yield from self._test_words(child)
            else:
                yield self._flow.word(child)

    def _refuse_arithmetic(self, node: Node) -> None:
        if node.type in EXPANDED:
            hole = self._flow.hole(node, True)
            if isinstance(hole, Hole) and hole.is_value:
                raise refuse(hole, *_NO_ARITHMETIC)
            return
        name = text_of(node)
        is_name = node.type in ("variable_name", "word") and not name.isdigit()
        if is_name and self._flow.is_tainted(name):
            raise refuse(Hole(name, True), *_NO_ARITHMETIC)
        for child in node.children:
            self._refuse_arithmetic(child)

    def _check_array(self, node: Node) -> None:
        for child in node.children:
            word = self._flow.word(child)
            if word.prefix.startswith("[") and word.value and "]" not in word.prefix:
                raise refuse(word.value, *_NO_ARITHMETIC)

    def _check_expansion(self, node: Node) -> None:
        if node.end_byte in self._flow.templates:
            return
        text = text_of(node).lstrip()
        hole = self._flow.hole(node, True)
        if not isinstance(hole, Hole) or not hole.is_value:
            return
        if text.startswith("${!") and not re.match(r"\$\{!\w+(\[[@*]\]|[@*])\}\Z", text):
            raise refuse(
                hole, "the shell would read the value as the name of a variable", BY_VARIABLE
            )
        if assigned := re.match(r"\$\{(\w+):?=", text):
            check_assignment(assigned[1], Word((hole,)))
        if re.search(r"@[A-Za-z]\}\Z", text):
            raise refuse(hole, "the shell would expand the value again", BY_VARIABLE)
        seen = False
        for child in node.children:
            if seen:
                self._refuse_arithmetic(child)
            seen = seen or child.type == ":"
