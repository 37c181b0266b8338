"""Words that the shell itself reads again: names of variables, and the operators of tests."""

from __future__ import annotations

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.shell.code_variables import is_code_variable
from orc.scheduler.core.shell.shell_words import Hole, Word, refuse

_BINARY_TESTS = frozenset("= == != =~ < > -eq -ne -lt -le -gt -ge -nt -ot -ef -a -o".split())
_READING = ("read", "mapfile", "readarray")
_READING_LETTERS = "dinNptucO"
_INTEGERS = frozenset("RANDOM SRANDOM OPTIND HISTCMD LINENO SECONDS EPOCHSECONDS".split())
"""Variables that bash evaluates as arithmetic when they are set, subscripts included."""


def check_assignment(name: str, word: Word) -> None:
    """Refuse a value in a variable that shells or programs read as code."""
    if word.value and name in _INTEGERS:
        raise _integer_problem(word.value, name)
    if word.value and is_code_variable(name):
        raise refuse(
            word.value,
            f"programs read the variable {name} as code, or as the name of a program",
            "write its text in the spec",
        )


def check_test(words: list[Word]) -> None:
    """Refuse words of `test` that bash would read as a subscript, or could take as an operator."""
    segment: list[Word] = []
    for word in [*words, Word(("-o",))]:
        if word.literal not in ("-a", "-o") or not segment:
            if word.literal not in ("!", "(", ")") or segment:
                segment.append(word)
            continue
        if len(segment) == 1 and len(words) == 2 and word is words[0]:
            segment.append(word)
            continue
        _check_test_segment([part for part in segment if part.literal != ")"])
        segment = []


def _check_test_segment(words: list[Word]) -> None:
    value = next((word.value for word in words if word.value), None)
    if value is None or len(words) == 1:
        return
    operator = words[0].literal
    if len(words) == 2 and operator is not None and operator not in ("-v", "-R"):
        return
    if len(words) == 3 and words[1].literal in _BINARY_TESTS:
        return
    raise refuse(
        value,
        "the shell could read the value as the operator of a test, or as the name of a variable "
        "with a subscript, which it would run",
        "compare it with `=` in double quotes",
    )


def check_names(name: str, words: list[Word]) -> None:
    """Commands that set a variable: a name such as a[$(...)] would be run."""
    is_argument = False
    for index, word in enumerate(words):
        literal = word.literal or ""
        if name == "printf" and index > 1:
            return
        if not is_argument and name != "unset":
            given = next((other.value for other in words if other.value), None)
            if name != "printf" or given is not None:
                check_assignment(literal, Word((given or Hole(literal, True),)))
        if is_argument or not word.value:
            is_option = name in _READING and literal.startswith("-")
            is_argument = is_option and literal[-1] in _READING_LETTERS
            continue
        if name == "getopts" and index != 1:
            continue
        raise refuse(
            word.value, f"{name} would read the value as the name of a variable", "write the name"
        )


def _integer_problem(hole: Hole, name: str) -> TemplateError:
    return refuse(
        hole,
        f"bash evaluates what the variable {name} is set to, and would run a subscript in it",
        "use another name",
    )
