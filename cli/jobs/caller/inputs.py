"""The values of a spec's inputs: from options, or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.spec_files import read_spec_file, read_yaml_bytes
from orc.scheduler.core.errors import Problem, SpecError, nearest
from orc.scheduler.core.spec.parse import examine
from orc.scheduler.core.spec.yaml_source import parse_yaml


def parse_inputs(pairs: list[str], path: Path | None = None) -> dict[str, Any]:
    """The values of `-i` options over those of a YAML or JSON file.

    Raises UsageProblem, and SpecError for a broken file.
    """
    found: dict[str, Any] = {} if path is None else _read_file(path)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageProblem(f"-i takes KEY=VALUE; got {pair!r}")
        found[name] = value
    return found


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = read_yaml_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(f"the inputs in {path} are not UTF-8 text") from error
    except OSError as error:
        raise UsageProblem(f"cannot read the inputs {path}: {error.strerror}") from error
    document = parse_yaml(text, source_name=str(path))
    if not isinstance(document.value, dict):
        raise SpecError(str(path), [Problem("inputs are a mapping of names to values", 1, 1)])
    return document.value


def check_names(path: Path | None, given: dict[str, Any], spec: Path) -> None:
    """Refuse names in a file of inputs that the spec does not have, with their places."""
    if path is None:
        return
    try:
        text, name = read_spec_file(spec)
        declared = examine(text, source_name=name)[0].job.inputs
    except (SpecError, UsageProblem):
        return
    document = parse_yaml(read_yaml_bytes(path).decode("utf-8-sig"), source_name=str(path))
    problems = [
        Problem(
            f"the spec has no input {key!r}{nearest(key, declared)}",
            *document.place((key,), key=True),
        )
        for key in document.value
        if key not in declared
    ]
    if problems:
        raise SpecError(str(path), problems)
