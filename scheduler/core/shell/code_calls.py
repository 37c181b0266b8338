"""Calls in the text of a program that run a command, or code, that is not in the text itself.

`perl -e 'system(shift)' ${{ ... }}` runs the value, although it is a word of its own. The languages
are read by the names of such functions, and by what follows: a constant command is harmless in
itself. Python is left to `python_calls.py`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from msgspec import Struct

from orc.scheduler.core.shell.python_calls import calls_of_python

_STRING = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
_CONSTANT = re.compile(
    rf"[\s(\[{{]*(?P<text>{_STRING})[ \t]*(?P<after>(?:or|and|if|unless)\b|&&|\|\||\S|\n|\Z)"
)
_GOES_ON = ","
_ENDS = frozenset([*";)}|\n]", "", "or", "and", "if", "unless", "&&", "||"])
_NEVER = r"(?!)"


class Call(Struct, frozen=True):
    """A call that runs something: its name, and the shell text that it runs, if that is known."""

    name: str
    text: str | None = None


class Language(Struct, frozen=True):
    """How a language runs commands and code.

    `commands` is a pattern of the functions that run a command, `code` of those that run code or
    load it. `always` is a pattern of what is never constant. `interpolation` is a pattern of what
    makes a string in double quotes no constant. `backticks` is whether text in them is a command.
    """

    commands: str
    code: str = _NEVER
    always: str = _NEVER
    interpolation: str = _NEVER
    backticks: bool = False

    def calls(self, text: str) -> Iterator[Call]:
        """The calls in a program, without those that run constant code."""
        for found in re.finditer(self.always, text):
            yield Call(found[0].strip())
        for found in re.finditer(r"`((?:[^`\\]|\\.)*)`", text) if self.backticks else ():
            is_known = not re.search(self.interpolation, found[1])
            yield Call("`...`", found[1] if is_known else None)
        for found in re.finditer(self.commands, text):
            yield Call(_shown(found[0]), self._command(text, found.end()))
        for found in re.finditer(self.code, text):
            if self._command(text, found.end()) is None:
                yield Call(_shown(found[0]))

    def _command(self, text: str, at: int) -> str | None:
        """The shell text of the constant arguments from an offset on; None for other arguments."""
        words: list[str] = []
        while (found := _CONSTANT.match(text, at)) is not None:
            content = found["text"][1:-1]
            if found["text"][0] == '"' and re.search(self.interpolation, content):
                break
            words.append(content)
            if found["after"] in _ENDS:
                return words[0] if len(words) == 1 else shlex.join(words)
            if found["after"] != _GOES_ON:
                return None
            at = found.end()
        # The arguments after the constant ones are the words of a command.
        return f'{shlex.join(words)} "$@"' if words else None


def _shown(call: str) -> str:
    return call.strip(" (\t\n")


_OTHER = Language(
    r"\b(?:system|exec\w*|execute|popen|spawn\w*|shell|call-process)\b",
    code=r"\b(?:eval\w*|load|source|require)\b",
)
_LANGUAGES: dict[str, Language] = {
    "perl": Language(
        r"\b(?:system|exec|readpipe|syscall|open[23])\b",
        code=r"\b(?:eval(?!\s*\{)|do(?!\s*\{)|require(?!\s+[A-Za-z]))\b",
        always=r"\bqx\b|(?<!&)&[${]|->\s*\$|[/}|!#,][a-z]*e[a-z]*e[a-z]*\s*(?:[;,)}]|\Z)"
        r"|\bopen\b(?!\s*\(?\s*(?:my\s*|local\s*|our\s*)?[\w*${}]+\s*,\s*"
        r"[\"'](?:<|>|>>|\+<)(?:\s*:[\w:()-]+)?[\"']\s*,)",
        interpolation=r"[$@]",
        backticks=True,
    ),
    "ruby": Language(
        r"\b(?:system|exec|spawn|popen\w*|capture\w+|pipeline\w*|syscall)\b|(?<!File\.)\bopen\b"
        r"|\bIO\.(?:read|readlines|foreach|binread|write)\b",
        code=r"\b(?:eval|instance_eval|class_eval|module_eval|send|public_send|__send__|load|"
        r"public_method|method|const_get|Marshal\.load|YAML\.(?:unsafe_)?load|ERB\.new|"
        r"require|require_relative)\b",
        always=r"%x\W",
        interpolation=r"#\{",
        backticks=True,
    ),
    "node": Language(
        r"\b(?:execSync|execFileSync|execFile|spawnSync|spawn)\b(?!\s*[,}:])"
        r"|(?:(?<![.\w])|\)\s*\.|\b(?:cp|child_process)\.)exec\b(?!\s*[,}:])",
        code=r"\b(?:eval|Function|fork|Worker|runIn\w+Context|compileFunction|Script|require|"
        r"import(?=\s*\()|constructor)\b(?!\s*[,}:])",
    ),
    "php": Language(
        r"\b(?:system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec)\b",
        code=r"\b(?:eval|assert|create_function|call_user_func\w*|include|include_once|require|"
        r"require_once)\b",
        always=r"\$\w+(?:\[[^]]*\])*\s*\(",
        interpolation=r"\$",
        backticks=True,
    ),
    "lua": Language(
        r"\b(?:os\.execute|io\.popen)\b",
        code=r"\b(?:load|loadstring|dofile|loadfile|require)\b",
    ),
    "r": Language(
        r"\b(?:system2?|shell|pipe)\b(?=\s*\()",
        code=r"\b(?:eval|evalq|source|sys\.source|do\.call|match\.fun|str2lang)\b(?=\s*\()",
    ),
    "julia": Language(
        r"\b(?:run|pipeline)\b(?=\s*\()",
        code=r"\b(?:eval|include|include_string|Meta\.parse)\b(?=\s*\()|@eval\b",
        interpolation=r"\$",
        backticks=True,
    ),
}


_AWK_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*)|(?P<string>\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<regex>(?<=[(,{};!~&|\n])\s*/(?:[^/\\\n]|\\.)*/|\A\s*/(?:[^/\\\n]|\\.)*/)",
    re.DOTALL,
)
_AWK_CALLS: tuple[tuple[str, str], ...] = (
    ("system", r"\bsystem\s*\(\s*(?:\"(?P<text>\d+)\"\s*\))?"),
    ("getline", r"(?:(?:\A|[;{}(\n])\s*\"(?P<text>\d+)\"|\S)\s*\|&?\s*getline"),
    ("|", r"(?<!\|)\|(?![|&]|\s*getline)\s*(?:\"(?P<text>\d+)\"\s*(?=[;}\n]|\Z))?"),
    ("|&", r"(?<!\|)\|&(?!\s*getline)\s*(?:\"(?P<text>\d+)\"\s*(?=[;}\n]|\Z))?"),
    ("@", r"@\s*\w+\s*\("),
)


def _calls_of_awk(text: str) -> Iterator[Call]:
    strings: list[str] = []

    def without(found: re.Match[str]) -> str:
        if found["string"] is None:
            return "" if found["comment"] is not None else " 0 "
        strings.append(found["string"][1:-1])
        return f'"{len(strings) - 1}"'

    plain = _AWK_TOKEN.sub(without, text)
    for name, pattern in _AWK_CALLS:
        for found in re.finditer(pattern, plain):
            place = found.groupdict().get("text")
            yield Call(name, strings[int(place)] if place is not None else None)


_SED_REPLACE = re.compile(
    r"s([^\w\s\\])(?:\\.|(?!\1)[^\\])*\1(?:\\.|(?!\1)[^\\])*\1(?P<flags>[a-zA-Z0-9]*)"
    r"|y([^\w\s\\])(?:\\.|(?!\3)[^\\])*\3(?:\\.|(?!\3)[^\\])*\3",
    re.DOTALL,
)
_SED_DATA = re.compile(
    r"/(?:\\.|[^/\\\n])*/[IM]*|[btTv:][^\n;}]*|[aicrRwW#][^\n]*(?<=\\)(?:\n[^\n]*)*|[aicrRwW#][^\n]*"
)


def _calls_of_sed(text: str) -> Iterator[Call]:
    rest = text
    for found in _SED_REPLACE.finditer(text):
        flags = (found["flags"] or "").partition("w")[0]
        if "e" in flags:
            yield Call(f"the flag e of {found[0]}")
    rest = _SED_REPLACE.sub(" ", rest)
    if "e" in _SED_DATA.sub(" ", rest):
        yield Call("the command e")


def _calls_of_python(text: str) -> Iterator[Call]:
    return (Call(name, command) for name, command in calls_of_python(text))


_SPECIAL = {"python": _calls_of_python, "awk": _calls_of_awk, "sed": _calls_of_sed}


def calls_of(language: str, text: str) -> Iterator[Call]:
    """The calls in a program that run a command or code; see `Reader.calls` for the languages."""
    special = _SPECIAL.get(language)
    return special(text) if special else _LANGUAGES.get(language, _OTHER).calls(text)
