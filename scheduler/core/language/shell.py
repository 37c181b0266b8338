"""Templates in `run:` texts. A value never becomes part of the shell script.

Each `${{ }}` is replaced by a reference to an environment variable that has the value. A template
is an error where the shell would not expand the reference, or not as one word.
"""

from __future__ import annotations

from dataclasses import dataclass

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.expressions import Expression
from orc.scheduler.core.language.templates import parse_template

VALUE_BYTES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class ShellText:
    """A script for /bin/sh, and the expression for the value of each of its variables."""

    script: str
    variables: tuple[tuple[str, Expression], ...]


def parse_shell(text: str) -> ShellText:
    """The script with `"${ORC_V1}"` and so on in place of its expressions.

    Inside double quotes, the reference gets no quotes of its own. Raises TemplateError for an
    expression in single quotes, in backticks, in or after a heredoc, or after a backslash.
    """
    script: list[str] = []
    variables: list[tuple[str, Expression]] = []
    scanner = _Scanner()
    for part in parse_template(text).parts:
        if isinstance(part, str):
            scanner.feed(part)
            script.append(part)
            continue
        where = scanner.refusal()
        if where:
            raise TemplateError(
                f"${{{{ {part.source} }}}} is {where}, where the shell would not read its value as "
                "one word; move it into double quotes, or outside quotes"
            )
        name = f"ORC_V{len(variables) + 1}"
        variables.append((name, part))
        reference = f"${{{name}}}"
        script.append(reference if scanner.in_double_quotes() else f'"{reference}"')
    return ShellText("".join(script), tuple(variables))


class _Scanner:
    """Tracks the quoting of a shell script, as far as the placement of variables needs it."""

    def __init__(self) -> None:
        self._stack: list[str] = []
        self._escaped = False
        self._comment = False
        self._word_start = True
        self._heredoc = False
        self._previous = ""

    def in_double_quotes(self) -> bool:
        return bool(self._stack) and self._stack[-1] == '"'

    def refusal(self) -> str:
        """The place that forbids a template here; empty if one is allowed."""
        if "'" in self._stack:
            return "in single quotes"
        if "`" in self._stack:
            return "in backticks"
        if self._heredoc:
            return "in or after a heredoc"
        if self._escaped:
            return "after a backslash"
        self._word_start = False
        return ""

    def feed(self, text: str) -> None:
        for character in text:
            self._step(character)
            self._previous = character

    def _step(self, character: str) -> None:
        top = self._stack[-1] if self._stack else ""
        if self._comment:
            self._comment = character != "\n"
            self._word_start = True
        elif self._escaped:
            self._escaped = False
        elif top == "'":
            if character == "'":
                self._stack.pop()
        elif character == "\\":
            self._escaped = True
            self._word_start = False
        elif character == top and character in '"`':
            self._stack.pop()
        elif top == '"':
            if character == "`" or (character == "(" and self._previous == "$"):
                self._stack.append(character)
        elif character in "'\"`(":
            self._stack.append(character)
            self._word_start = character == "("
        elif character == ")" and top == "(":
            self._stack.pop()
        elif character == "#" and self._word_start:
            self._comment = True
        elif character == "<" and self._previous == "<":
            self._heredoc = True
        else:
            self._word_start = character in " \t\n;&|"
