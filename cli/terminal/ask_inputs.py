"""Asks on the terminal for required inputs that the options do not give."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.read_inputs import InputReader
from orc.cli.jobs.caller.spec_files import read_spec_file
from orc.cli.terminal.text import safe
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.spec.data_inputs import ReadRequest, is_data
from orc.scheduler.core.spec.inputs import is_required, read_input
from orc.scheduler.core.spec.model import InputSpec
from orc.scheduler.core.spec.parse import examine

_TRIES_MAX = 20


def ask_missing(spec: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The given values, with those of missing required inputs, which are asked for on the terminal.

    A spec that cannot be read is reported later, by `prepare`.
    """
    if not _is_on_terminal():
        return given
    try:
        text, name = read_spec_file(spec)
        if "inputs" not in text:
            # A large spec takes long to read, and `prepare` reads it again.
            return given
        declared = examine(text, source_name=name)[0].job.inputs
    except (SpecError, UsageProblem):
        return given
    return ask_for(declared, given)


def ask_for(declared: Mapping[str, InputSpec], given: dict[str, Any]) -> dict[str, Any]:
    """The same with the inputs that the spec declares. Without a terminal, nothing is asked."""
    if not _is_on_terminal():
        return given
    missing = {
        name: spec for name, spec in declared.items() if name not in given and is_required(spec)
    }
    return {**given, **{name: _ask(name, spec) for name, spec in missing.items()}}


def _is_on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(name: str, spec: InputSpec) -> Any:
    if spec.description:
        _write(f"{safe(name)}: {safe(spec.description)}\n")
    kind = f" ({spec.type})" if spec.type != "string" else ""
    choice = f" [{', '.join(safe(value) for value in spec.enum)}]" if spec.enum else ""
    for _ in range(_TRIES_MAX):
        _write(f"{safe(name)}{kind}{choice}: ")
        line = sys.stdin.readline()
        if not line:
            raise UsageProblem(f"inputs.{name}: a value is required; give it with -i {name}=VALUE")
        value, problem = read_input(line.rstrip("\r\n"), spec)
        if is_data(spec) and not problem:
            problem = _unreadable(name, spec, value)
        if not problem and value != "":
            return value
        _write(f"  {safe(problem) or 'a value is required'}\n")
    raise UsageProblem(
        f"inputs.{name}: no valid value in {_TRIES_MAX} tries; give it with -i {name}=VALUE"
    )


def _unreadable(name: str, spec: InputSpec, value: Any) -> str:
    """Why the files that were named cannot be read; empty if they can."""
    try:
        InputReader(Path.cwd()).read(ReadRequest(name, spec, value, is_default=False))
    except ValueError as error:
        return str(error)
    return ""


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
