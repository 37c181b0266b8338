"""What is known about programs: the forms of the facts, and where they are found by name.

The facts stand in `table_of_languages.py`, `table_of_commands.py` and `table_of_wrappers.py`, each
with entries of one form. A program that is in none of them, such as a script of the spec's author,
gets its words as data.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

First = Literal["code", "script", "data"]
After = Literal["data", "options", "all options"]
Joins = Literal["", "all", "after the host"]


class Reader(Struct, frozen=True):
    """A program that reads code.

    `code` are options with code as argument, `taking` other options with an argument; a letter is
    a short option, which may stand in a cluster, anything else a long one. `ending` are options
    after whose argument the rest is data. `first` is what the first word that is no option is.
    `reads_stdin` is whether it reads code from its standard input if it is given none.
    `is_shell` is whether the code is shell text. `all_data` are options with two arguments that are
    data. `after` says how the words after the code are read: as data, as options until the first
    other word, or all as options. `commands` are words that may stand before the options;
    after one of `code_commands` the first word is code. `calls` is the language of the code in
    `code_calls.py`. `instead` is the safe form.
    """

    code: frozenset[str]
    instead: str
    taking: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()
    attached: frozenset[str] = frozenset()
    from_file: frozenset[str] = frozenset()
    first: First = "script"
    reads_stdin: bool = True
    is_shell: bool = False
    all_data: frozenset[str] = frozenset()
    after: After = "options"
    commands: frozenset[str] = frozenset()
    code_commands: frozenset[str] = frozenset()
    calls: str = ""


class Launcher(Struct, frozen=True):
    """A program that runs some of its words as commands, or reads them as code.

    `runs` are options with a command or code as argument, `taking` other options with an argument.
    `is_strict` is whether a word that begins with a value could be such an option. After each of
    the words `before` comes a command, and after each of the beginnings `marks` of a word code.
    `starts` is what makes a word a command if it begins with it. `ends_at` is how many words end
    the options; 0 if options may stand anywhere. `names` is whether words NAME=VALUE are code, and
    `all_words` whether each word is, or may become, code. `joins` is whether it joins its words to
    one shell text, and which. `reads_stdin` is whether it reads commands from its standard input.
    `is_remote` is whether the shell of another machine reads what stands behind a colon. `instead`
    is the safe form.
    """

    runs: frozenset[str] = frozenset()
    taking: frozenset[str] = frozenset()
    is_strict: bool = False
    before: frozenset[str] = frozenset()
    marks: tuple[str, ...] = ()
    starts: str = ""
    ends_at: int = 0
    names: bool = False
    all_words: bool = False
    joins: Joins = ""
    reads_stdin: bool = False
    is_remote: bool = False
    instead: str = "write the command in the text"


class Wrapper(Struct, frozen=True):
    """A program that runs the command in its words.

    `taking` are its options with an argument; `skip` is how many words stand before the command,
    and `assigns` whether there may be NAME=VALUE words.
    """

    taking: frozenset[str] = frozenset()
    skip: int = 0
    assigns: bool = False
    attached: frozenset[str] = frozenset()


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())
