"""Reads the values of a spec's inputs, from options and from a file, and writes them as options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.read_inputs import beside
from orc.cli.jobs.caller.spec_files import folder_beside, read_spec_file, read_yaml_bytes
from orc.ledger.definition import JobDef
from orc.scheduler.core.errors import Problem, SpecError, nearest
from orc.scheduler.core.source.yaml_source import parse_yaml
from orc.scheduler.core.spec.inputs import read_input
from orc.scheduler.core.spec.parse import examine, parse_spec

_SHOWN_CHARS_MAX = 200


def parse_inputs(pairs: list[str], path: Path | None = None) -> dict[str, Any]:
    """The values in a YAML or JSON file, overridden by those of `-i` options.

    Raises UsageProblem, and SpecError for a file that cannot be parsed.
    """
    found: dict[str, Any] = {} if path is None else _read_file(path)
    wrong = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            wrong.append(repr(pair))
        found[name] = value
    if wrong:
        raise UsageProblem(f"-i: must be KEY=VALUE; got {', '.join(wrong)}")
    return found


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = read_yaml_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(
            f"--inputs {path}: the file is not UTF-8 text; save it as UTF-8"
        ) from error
    except OSError as error:
        raise UsageProblem(
            f"--inputs: cannot read {path}: {error.strerror}; name another file"
        ) from error
    document = parse_yaml(text, source_name=str(path))
    if not isinstance(document.value, dict):
        raise SpecError(
            str(path), [Problem("the file must be a mapping of input names to values", 1, 1)]
        )
    return {name: _beside(value, path) for name, value in document.value.items()}


def _beside(value: Any, path: Path) -> Any:
    """The value, whose paths are relative to the folder of the file in which it is."""
    if isinstance(value, list):
        return [_beside(item, path) for item in value]
    return beside(value, folder_beside(path)) if isinstance(value, str) else value


def check_names(path: Path | None, given: dict[str, Any], spec: Path) -> None:
    """Raise SpecError for what the spec cannot take of the file `path`, with the lines there.

    These are inputs that it does not have, and values that do not fit, unless `given` has others.
    """
    if path is None:
        return
    try:
        text, name = read_spec_file(spec)
        declared = examine(text, source_name=name)[0].job.inputs
    except (SpecError, UsageProblem):
        return
    document = parse_yaml(read_yaml_bytes(path).decode("utf-8-sig"), source_name=str(path))
    problems = []
    for key, value in document.value.items():
        if key not in declared:
            said = f"the spec has no input {key!r}{nearest(str(key), declared)}"
            problems.append(Problem(said, *document.place((key,), key=True)))
        elif given.get(key) == value:
            said = read_input(value, declared[key])[1]
            if said:
                problems.append(Problem(f"inputs.{key}: {said}", *document.place((key,))))
    if problems:
        raise SpecError(str(path), problems)


def given_inputs(definition: JobDef, spec: Path) -> list[str]:
    """The options of `orc run` by which the spec has the job's inputs: `-i`, `topic=seas`.

    What the spec has by default is left out. VALUE stands for a value that is too long to be shown.
    """
    try:
        declared = parse_spec(spec.read_text("utf-8-sig"), source_name=spec.name).job.inputs
    except (SpecError, OSError, UnicodeDecodeError):
        return []
    given: dict[str, str] = {}
    for name, value in definition.inputs.items():
        if name in declared and value != declared[name].default:
            given[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    for name, found in definition.read.items():
        if name in declared and not found.default:
            given[name] = found.source
    words: list[str] = []
    for name, text in given.items():
        words += ["-i", f"{name}={text if len(text) <= _SHOWN_CHARS_MAX else 'VALUE'}"]
    return words
