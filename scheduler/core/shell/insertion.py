"""Templates in commands. A value never becomes part of a shell script, nor of other code.

Each `${{ }}` in a shell text is replaced by a reference to an environment variable that has the
value. A template is an error where the shell would not expand the reference, or not as one word,
and where the value could be run as code: `shell_values.py` finds these places.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.expressions import Expression
from orc.scheduler.core.language.kinds_of_values import gives_number
from orc.scheduler.core.language.templates import has_template, parse_template
from orc.scheduler.core.paths import program_problem
from orc.scheduler.core.shell.shell_words import Hole, Input, Word

VALUE_BYTES_MAX = 100_000


class ShellText(Struct, frozen=True):
    """A script for /bin/sh, and the expression for the value of each of its variables."""

    script: str
    variables: tuple[tuple[str, Expression], ...]


@lru_cache(maxsize=4096)
def parse_shell(text: str) -> ShellText:
    """The script with `"${ORC_V1}"` and so on in place of its expressions.

    Where the shell is in double quotes, the reference gets no quotes of its own. Raises
    TemplateError for an expression in a place where its value would not be one word, or would be
    run as code.
    """
    if not has_template(text):
        return ShellText(text, ())
    # The parser, and its grammar, are loaded for texts with templates only.
    from orc.scheduler.core.shell.shell_places import places_of
    from orc.scheduler.core.shell.shell_values import check_script

    parts = parse_template(text).parts
    variables: list[tuple[str, Expression]] = []
    plain: list[str] = []
    references: dict[int, Expression] = {}
    at = 0
    for part in parts:
        if isinstance(part, Expression):
            name = f"ORC_V{len(variables) + 1}"
            variables.append((name, part))
            plain.append(f"${{{name}}}")
        else:
            plain.append(part)
        at += len(plain[-1].encode())
        if isinstance(part, Expression):
            references[at] = part
    script = "".join(plain)
    try:
        places = places_of(script, references)
        check_script(script, {end: _hole(expression) for end, expression in references.items()})
    except RecursionError:
        raise TemplateError("the shell text is nested too deeply") from None
    quoted = [
        f'"{piece}"' if isinstance(part, Expression) and next(places) else piece
        for part, piece in zip(parts, plain, strict=True)
    ]
    return ShellText("".join(quoted), tuple(variables))


@lru_cache(maxsize=4096)
def check_words(words: tuple[str, ...]) -> None:
    """Raise TemplateError if a command without a shell could run a template's value as code.

    Also if the name of its program is one that only a shell could read.
    """
    reason = program_problem(words[0]) if words else ""
    if reason:
        raise TemplateError(reason)
    if not any(has_template(word) for word in words):
        return
    from orc.scheduler.core.shell.program_rules import Surroundings
    from orc.scheduler.core.shell.programs import check_command
    from orc.scheduler.core.shell.shell_values import check_script
    from orc.scheduler.core.shell.value_flow import names_given

    read = [_word(word) for word in words]
    given = frozenset(names_given(read))

    def read_shell(text: str, stdin: Input) -> None:
        check_script(text, {}, tainted=given, stdin=stdin)

    check_command(read, Surroundings(read_shell, tainted=given))


def _word(text: str) -> Word:
    parts = [
        (_hole(part) or "0") if isinstance(part, Expression) else part
        for part in parse_template(text).parts
    ]
    return Word(tuple(parts))


def _hole(expression: Expression) -> Hole | None:
    """The place of the expression's value; None for a number, which is no code anywhere."""
    if expression.tree is not None and gives_number(expression.tree):
        return None
    return Hole(f"${{{{ {expression.source} }}}}", is_value=True)
