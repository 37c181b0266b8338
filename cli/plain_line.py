"""Reads a plain command line without typer, which takes longer to load than `orc list` to run.

A line is plain if each word is known and complete: the command's name, its arguments, and its options,
each at most once unless it takes a list, with a value that can be converted. Every other line, also
one that asks for help or has an error, is left to typer, which explains what is wrong. What this
module reads is what typer would read; a test compares the two for all commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from orc.cli.command_table import load_function
from orc.cli.parameters import Declared, Option, bare_type, read_parameters
from orc.ledger.files.written_paths import written_path


class _NotPlainError(Exception):
    """The line is left to typer."""


def read_plain_line(words: Sequence[str]) -> tuple[Callable[..., int], dict[str, Any]] | None:
    """The function of the command and its arguments, or None for a line that typer must read."""
    if not words or not all(map(_is_plain, words)):
        return None
    try:
        function = load_function(words[0])
    except KeyError:
        return None
    try:
        return function, _read(function, words[1:])
    except _NotPlainError:
        return None


def _is_plain(word: str) -> bool:
    """An empty word is mostly an unset variable; a word that is not UTF-8 is no name in a ledger."""
    return word != "" and word.isprintable()


def _read(function: Callable[..., int], words: Sequence[str]) -> dict[str, Any]:
    declared = read_parameters(function)
    defaults = _defaults(function)
    options = dict(option_names(declared))
    given: dict[str, list[str | bool]] = {}
    free: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            free.append(word)
            continue
        name, equals, value = word.partition("=")
        if name not in options or (equals and not name.startswith("--")):
            raise _NotPlainError
        parameter, flag = options[name]
        if flag is not None:
            if equals or parameter in given:
                raise _NotPlainError
            given[parameter] = [flag]
            continue
        if not equals:
            value = next(rest, "")
        # A value that looks like an option may be a forgotten value.
        if value == "" or value.startswith("-"):
            raise _NotPlainError
        given.setdefault(parameter, []).append(value)
    found = _read_arguments(declared, free)
    for parameter, (hint, option) in declared.items():
        if parameter in given:
            found[parameter] = _option_value(parameter, hint, option, given[parameter])
        elif parameter not in found:
            if parameter not in defaults:
                raise _NotPlainError
            default = defaults[parameter]
            found[parameter] = list(default) if isinstance(default, list) else default
    return found


def _defaults(function: Callable[..., int]) -> dict[str, Any]:
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    values = function.__defaults__ or ()
    return {
        **dict(zip(names[len(names) - len(values) :], values, strict=True)),
        **(function.__kwdefaults__ or {}),
    }


def option_names(
    declared: Mapping[str, tuple[Any, Declared]],
) -> Iterator[tuple[str, tuple[str, bool | None]]]:
    """Each name of an option with its parameter and, for a flag, the value that the name stands for."""
    for parameter, (hint, option) in declared.items():
        if not isinstance(option, Option):
            continue
        is_flag = bare_type(hint) is bool
        for name in option.names or (_own_name(parameter, is_flag=is_flag),):
            shown, _, refused = name.partition("/")
            yield shown, (parameter, True if is_flag else None)
            if refused:
                yield refused, (parameter, False)


def _own_name(parameter: str, *, is_flag: bool) -> str:
    """The name that typer gives to an option without one."""
    own = parameter.replace("_", "-")
    return f"--{own}/--no-{own}" if is_flag else f"--{own}"


def _read_arguments(
    declared: Mapping[str, tuple[Any, Declared]], free: list[str]
) -> dict[str, Any]:
    """The arguments by position; only the last one may take several words."""
    found: dict[str, Any] = {}
    names = [name for name, (_, each) in declared.items() if not isinstance(each, Option)]
    for number, name in enumerate(names):
        hint, argument = declared[name]
        kind = bare_type(hint)
        if get_origin(kind) is not list:
            if free:
                found[name] = _convert(kind, argument, free.pop(0))
            continue
        if number != len(names) - 1:
            raise _NotPlainError
        if free:
            (item,) = get_args(kind)
            found[name] = [_convert(item, argument, word) for word in free]
            free = []
    if free:
        raise _NotPlainError
    return found


def _option_value(parameter: str, hint: Any, option: Declared, given: list[str | bool]) -> Any:
    if option.callback is not None:
        raise _NotPlainError
    kind = bare_type(hint)
    name = next((each for each in option.names if each.startswith("--")), "")
    name = name or _own_name(parameter, is_flag=False)
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return [_convert(item, option, each, name) for each in given]
    if len(given) != 1:
        raise _NotPlainError
    return _convert(kind, option, given[0], name)


def _convert(kind: type, declared: Declared, value: str | bool, name: str = "") -> Any:
    if kind is bool and isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise _NotPlainError
    if kind is str:
        return value
    if kind is Path:
        return written_path(value, of=name)
    if kind is int and value.isascii() and value.isdecimal() and len(value) < 20:
        number = int(value)
        if _is_within(number, declared):
            return number
    raise _NotPlainError


def _is_within(number: int, declared: Declared) -> bool:
    return (declared.minimum is None or number >= declared.minimum) and (
        declared.maximum is None or number <= declared.maximum
    )
