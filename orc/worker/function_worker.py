"""A separate script that calls Python functions for steps and models, one after another.

Requests and results are lines of JSON on two descriptors, whose numbers are the arguments. So a
function's output is never mistaken for a result. An empty line before the first result says that the
process has started. The script imports nothing from orc; what few calls need is imported by these.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import sys
from types import CoroutineType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""The maximum size of an answer, a line of ASCII."""
_encode = json.JSONEncoder(allow_nan=False).encode


def main() -> None:
    """Answer requests until end of file."""
    # The sender of the requests ends this process by SIGTERM, also if it ignores SIGTERM itself.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    read_fd, write_fd = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(read_fd, False)
    os.set_inheritable(write_fd, False)
    # A function may close or redirect stdout and stderr: they are reset before each call.
    printed_fd = os.dup(1)
    os.write(write_fd, b"\n")
    with os.fdopen(read_fd, encoding="utf-8") as requests:
        for line in requests:
            answer = _answer(json.loads(line), printed_fd) + "\n"
            content = answer.encode()
            while content:
                content = content[os.write(write_fd, content) :]


def _answer(request: dict[str, Any], printed_fd: int) -> str:
    _set_environment(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = request["import_dir"]
    os.dup2(printed_fd, 1)
    os.dup2(printed_fd, 2)
    try:
        result = _answer_of(request["function"], request["args"], request["use"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return result


def _set_environment(given: dict[str, str]) -> None:
    """Let the call see these variables and no other. Most are those of the call before."""
    for name in os.environ.keys() - given.keys():
        del os.environ[name]
    for name, value in given.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _answer_of(name: str, arguments: dict[str, Any], use: str) -> str:
    module_name, _, path = name.partition(":")
    try:
        function: Any = importlib.import_module(module_name)
        for part in path.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError) as error:
        sys.__excepthook__(*sys.exc_info())
        return _failure(
            "environment", f"cannot import {name}: {_describe_error(error, named=False)}"
        )
    except BaseException as error:
        sys.__excepthook__(*sys.exc_info())
        return _failure("exit_code", f"importing {module_name} raised {_describe_error(error)}")
    if use == "describe":
        return _describe(name, function)
    if use == "tool":
        return _call_checked(name, function, arguments)
    return _call(name, function, arguments)


def _describe(name: str, function: Any) -> str:
    """The description of the function as a tool: its docstring and its arguments' JSON Schema."""
    import inspect

    from pydantic import TypeAdapter

    try:
        schema = TypeAdapter(function).json_schema()
    except Exception as error:
        reason = _describe_error(error, named=False).partition("\n")[0]
        return _failure(
            "environment",
            f"the arguments of {name} have no JSON Schema: {reason}; annotate them with plain types "
            "or give the tool `parameters`",
        )
    if schema.get("type") != "object":
        return _failure("environment", f"{name} must accept all its arguments by name")
    words = inspect.getdoc(function) if not isinstance(function, type) else None
    value = {"description": (words or name)[:4000], "parameters": schema}
    return json.dumps({"value": value})


def _call_checked(name: str, function: Any, arguments: dict[str, Any]) -> str:
    from pydantic import ConfigDict, ValidationError, validate_call

    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)
    try:
        return _call(name, checked, arguments, mistakes=(ValidationError,))
    except ValidationError as error:
        if error.title != getattr(function, "__name__", ""):
            # The function's own validation failed, not that of its arguments.
            return _failure("exit_code", f"{name} raised {_describe_error(error)}")
        found = error.errors(include_url=False, include_input=False, include_context=False)
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found[:5])
        return _failure("schema", f"the arguments do not fit the function: {said}")


def _call(
    name: str, function: Any, arguments: dict[str, Any], *, mistakes: tuple[Any, ...] = ()
) -> str:
    try:
        value = function(**arguments)
        if isinstance(value, CoroutineType):
            import asyncio  # loads slowly, and few functions are coroutines

            value = asyncio.run(value)
    except mistakes:
        raise
    except BaseException as error:
        sys.__excepthook__(*sys.exc_info())
        return _failure("exit_code", f"{name} raised {_describe_error(error)}", error)
    try:
        answer = _encode({"value": value})
    except BaseException as error:
        # Besides the errors of json, a class of the function's can raise anything.
        reason = _describe_error(error, named=not isinstance(error, TypeError | ValueError))
        return _failure("schema", f"the return value of {name} is not JSON: {reason}")
    if len(answer) >= ANSWER_BYTES_MAX:
        return _failure("output_too_large", f"the return value of {name} is too large")
    return answer


def _failure(kind: str, message: str, error: BaseException | None = None) -> str:
    """The answer for a failure, with the number in `errno` of what the system refused, if any."""
    answer: dict[str, Any] = {"kind": kind, "message": message[:65536]}
    if isinstance(error, MemoryError):
        answer["errno"] = errno.ENOMEM
    elif isinstance(error, OSError) and isinstance(error.errno, int):
        answer["errno"] = error.errno
    return json.dumps(answer)


def _describe_error(error: BaseException, *, named: bool = True) -> str:
    try:
        said = str(error)
    except BaseException:
        said = ""
    name = type(error).__name__
    if not said:
        return name
    return f"{name}: {said}" if named else said


if __name__ == "__main__":
    main()
