"""The arguments of the Python API: each has the type that its name has in every function.

Events are not checked again when they are appended. A number where an event has a text would
make a ledger that cannot be read any more.
"""

from __future__ import annotations

import inspect
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import wraps
from reprlib import repr as short
from typing import Any, ParamSpec, TypeVar, cast

import trio

from orc.cli.errors import UsageProblem
from orc.ledger.digest import clean_text
from orc.scheduler.core.durations import parse_duration
from orc.scheduler.core.spec.model import JobSpec

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def checked(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """The function, or coroutine function, which raises UsageProblem for an unusable argument."""
    signature = inspect.signature(function)

    def check(args: Any, options: Any) -> tuple[Any, Any]:
        try:
            bound = signature.bind(*args, **options)
        except TypeError:  # The call itself says it, with the function's name.
            return args, options
        for name, value in bound.arguments.items():
            if value is not None or signature.parameters[name].default is not None:
                bound.arguments[name] = _checks[name](name, value)
        return bound.args, bound.kwargs

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def wait(*args: Arguments.args, **options: Arguments.kwargs) -> Any:
            require_trio(function.__name__)
            args, options = check(args, options)
            return await function(*args, **options)

        return cast(Callable[Arguments, Value], wait)

    @wraps(function)
    def call(*args: Arguments.args, **options: Arguments.kwargs) -> Value:
        args, options = check(args, options)
        return function(*args, **options)

    return call


def require_trio(name: str) -> None:
    """Raise RuntimeError if the asynchronous function was called under another library than trio."""
    if not trio.lowlevel.in_trio_run():
        synchronous = name.removesuffix("_async")
        raise RuntimeError(
            f"orc.{name} needs a trio run. Under asyncio, use "
            f"`await asyncio.to_thread(orc.{synchronous}, ...)`"
        )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _unusable(name, value, "give a text")
    return value


def _name(name: str, value: Any) -> str:
    text = _text(name, value)
    if clean_text(text) != text:
        raise UsageProblem(
            f"{name}={text!a}: this is not valid Unicode text; nothing in a ledger is named like that"
        )
    return text


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_name(name, value),)
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray):
        raise _unusable(name, value, "give a text, or a list of texts")
    return tuple(_name(name, item) for item in value)


def _path(name: str, value: Any) -> str | os.PathLike[str]:
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise _unusable(name, value, "give a path")
    if "\0" in os.fspath(value):
        raise _unusable(name, value, "a path cannot have a null character")
    return value


def _spec(name: str, value: Any) -> JobSpec | str | os.PathLike[str]:
    if isinstance(value, JobSpec):
        return value
    if not isinstance(value, str | os.PathLike):
        raise _unusable(name, value, "give the path of a spec, or an orc.JobSpec")
    return _path(name, value)


def _values(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _unusable(name, value, "give a mapping, such as {'NAME': 'VALUE'}")
    for key in value:
        if not isinstance(key, str):
            raise _unusable(name, value, f"the name {short(key)} is not a text")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _unusable(name, value, "give True or False")
    return value


def _whole(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if isinstance(value, bool) or not 0 <= number < 2**63:
        raise _unusable(name, value, "give a whole number that is not negative")
    return number


def _seconds(name: str, value: Any) -> float:
    try:
        seconds = -1.0 if isinstance(value, str | bytes | bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if not seconds > 0:
        raise _unusable(name, value, "give a time in seconds that is greater than 0")
    return seconds


def _limit_seconds(name: str, value: Any) -> float:
    try:
        return parse_duration(_seconds(name, value))
    except ValueError as error:
        raise _unusable(name, value, str(error)) from None


def _moment(name: str, value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise _unusable(name, value, "give a datetime")
    return value


def _unusable(name: str, value: Any, remedy: str) -> UsageProblem:
    return UsageProblem(f"{name}={short(value)}: {remedy}")


_checks: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("comment", "reason"), _text),
    **dict.fromkeys(
        "after before job model name option project provider start step tag".split(), _name
    ),
    **dict.fromkeys("budget heads only statuses steps until".split(), _names),
    **dict.fromkeys("db output_dir path record replies runs_dir spec_dir".split(), _path),
    **dict.fromkeys("force keep_work run stop_when_empty strict trust".split(), _flag),
    **dict.fromkeys(("inputs", "changes"), _values),
    **dict.fromkeys(("jobs", "limit"), _whole),
    "for_s": _seconds,
    "since": _moment,
    "spec": _spec,
    "timeout_s": _limit_seconds,
}
