"""Answers a shell that asks for completions, without typer, which takes longer to load than to answer.

The script that `orc --install-completion` writes calls `orc` with the line in variables. What an option
or an argument takes is declared beside it (`cli/parameters.py`); `cli/completion.py` finds the words. A
line that cannot be read has no completions, and no message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_origin

from orc.cli.command_table import COMMANDS, OPTIONS, load_function
from orc.cli.parameters import Declared, Option, Words, bare_type, read_parameters
from orc.cli.plain_line import option_names
from orc.cli.terminal.text import put, safe

VARIABLE = "_ORC_COMPLETE"
"""The variable with what the shell asks for: `complete_bash`."""

_ASKS = "complete_"
_ROOT_OPTIONS = tuple((name, about) for names, about in OPTIONS for name in names.split(", ")[::-1])
_HELP = _ROOT_OPTIONS[-2:]

Word = tuple[str, str]
"""A completion, and its help; the help is empty if there is none."""


def asks_for_words(environment: Mapping[str, str]) -> bool:
    """Whether a shell asks for completions, and not for its script."""
    return environment.get(VARIABLE, "").startswith(_ASKS)


def complete_line(environment: Mapping[str, str]) -> int:
    """Print the completions as the script of the shell reads them; the exit code, which fish reads."""
    shell = environment[VARIABLE].removeprefix(_ASKS)
    try:
        found = list(_completions(*_words_before(shell, environment)))
    except Exception:
        found = []
    if shell == "fish" and environment.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return 0 if found else 1
    text = _as_read_by(shell, [(safe(word), safe(about)) for word, about in found])
    if text:
        put(text)
    return 0


def _words_before(shell: str, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """The complete words after `orc`, and the incomplete last one, which may be empty."""
    if shell == "bash":
        number = int(environment["COMP_CWORD"])
        words = _split(environment["COMP_WORDS"])
        return words[1:number], words[number] if number < len(words) else ""
    line = environment.get("_TYPER_COMPLETE_ARGS", "")
    words = _split(line)[1:]
    if not words or line.endswith(" "):
        return words, ""
    return words[:-1], words[-1]


def _split(line: str) -> list[str]:
    """The words of a line as a shell reads them; a quote that is open ends with the line."""
    from shlex import shlex

    lexer = shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        words.append(lexer.token)
    return words


def _as_read_by(shell: str, found: list[Word]) -> str:
    if shell == "zsh":
        quoted = [
            f'"{_zsh(word)}":"{_zsh(about)}"' if about else f'"{_zsh(word)}"'
            for word, about in found
        ]
        listed = "\n".join(quoted)
        return f"_arguments '*: :(({listed}))'" if quoted else "_files"
    if shell == "fish":
        return "\n".join(f"{word}\t{about}" if about else word for word, about in found)
    if shell in ("powershell", "pwsh"):
        return "\n".join(f"{word}:::{about or ' '}" for word, about in found)
    return "\n".join(word for word, _ in found)


def _zsh(text: str) -> str:
    marks = {'"': '""', "'": "''", "$": "\\$", "`": "\\`", ":": "\\\\:"}
    return "".join(marks.get(character, character) for character in text)


def _completions(before: list[str], incomplete: str) -> Iterator[Word]:
    if not before:
        words = _ROOT_OPTIONS if incomplete.startswith("-") else COMMANDS.items()
        yield from _starting(words, incomplete)
        return
    declared = read_parameters(load_function(before[0]))
    line = _Line(declared, before[1:])
    name, equals, value = incomplete.partition("=")
    if line.waiting is None and not line.is_ended and equals and name in line.options:
        line.waiting, incomplete = line.options[name][0], value
    elif line.waiting is not None and incomplete == "=":
        # Bash takes `--name=` for two words.
        incomplete = ""
    if line.waiting is not None:
        complete = declared[line.waiting][1].complete
    elif incomplete.startswith("-") and not line.is_ended:
        yield from _starting((*line.other_options(), *_HELP), incomplete)
        return
    else:
        complete = line.next_argument()
    if complete is not None:
        yield from _starting(_words_of(complete, incomplete, line.values), incomplete)


class _Line:
    """The words after a command: the values that they give, and what the last one waits for."""

    def __init__(self, declared: Mapping[str, tuple[Any, Declared]], words: Iterable[str]) -> None:
        self._declared = declared
        self.options = dict(option_names(declared))
        self.values: dict[str, str] = {}
        """The last value of each option and argument that has one, as it is written."""
        self.waiting: str | None = None
        """The option whose value comes next."""
        self.is_ended = False
        """Whether `--` has ended the options."""
        self._free: list[str] = []
        self._flags: set[str] = set()
        for word in words:
            self._take(word)
        for name, value in zip(self._arguments(), self._free, strict=False):
            self.values[name] = value

    def _take(self, word: str) -> None:
        if self.waiting is not None and word == "=":
            # Bash takes `--name=value` for three words.
            return
        name, equals, value = word.partition("=")
        if self.waiting is not None:
            self.values[self.waiting], self.waiting = word, None
        elif word == "--" and not self.is_ended:
            self.is_ended = True
        elif self.is_ended or not word.startswith("-"):
            self._free.append(word)
        elif name in self.options:
            parameter, flag = self.options[name]
            if flag is not None:
                self._flags.add(parameter)
            elif equals:
                self.values[parameter] = value
            else:
                self.waiting = parameter

    def other_options(self) -> Iterator[Word]:
        """The options that may still be given, each with its help."""
        for name, (parameter, _) in self.options.items():
            hint, option = self._declared[parameter]
            is_given = parameter in self._flags or parameter in self.values
            if not option.attributes.get("hidden") and (not is_given or _is_list(hint)):
                yield name, str(option.attributes["help"] or "")

    def next_argument(self) -> Words | None:
        """Where the words of the argument are that comes next; None if none does."""
        names = self._arguments()
        if len(self._free) < len(names):
            return self._declared[names[len(self._free)]][1].complete
        if names and _is_list(self._declared[names[-1]][0]):
            return self._declared[names[-1]][1].complete
        return None

    def _arguments(self) -> list[str]:
        return [name for name, (_, one) in self._declared.items() if not isinstance(one, Option)]


def _is_list(hint: Any) -> bool:
    return get_origin(bare_type(hint)) is list


def _words_of(complete: Words, incomplete: str, values: Mapping[str, str]) -> Iterator[Word]:
    if not isinstance(complete, str):
        yield from ((word, "") for word in complete())
        return
    # Imported here, since names of commands and options need no ledger.
    from orc.cli import completion

    for found in getattr(completion, complete)(incomplete, values):
        yield found if isinstance(found, tuple) else (found, "")


def _starting(words: Iterable[Word], incomplete: str) -> Iterator[Word]:
    return (word for word in words if word[0].startswith(incomplete))
