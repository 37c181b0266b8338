"""The specs that tools may name: files below one folder, and inputs that lead to no other place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orc.cli.mcp.orc_calls import CallRefused
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.spec.data_inputs import data_value, is_data
from orc.scheduler.core.spec.parse import parse_spec

SPEC_BYTES_MAX = 16 * 1024 * 1024


def spec_below(folder: Path, name: str) -> Path:
    """The spec of that name, which is relative to the folder. Raises CallRefused."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise CallRefused(f"{name!r} is outside of {folder}, where this server's specs are")
    if path.suffix not in (".yaml", ".yml", ".json") or not path.is_file():
        raise CallRefused(f"there is no spec {name!r} in {folder}; name a .yaml file there")
    return path


def input_options(spec: Path, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """The options for the inputs, for a command that is run in the spec's folder.

    Raises CallRefused for one that could name a file elsewhere.
    """
    if not inputs:
        return ()
    try:
        if spec.stat().st_size > SPEC_BYTES_MAX:
            raise CallRefused(f"{spec.name} is too large")
        declared = parse_spec(spec.read_text("utf-8"), source_name=spec.name).job.inputs
    except (OSError, ValueError, SpecError) as error:
        raise CallRefused(f"{spec.name}: {error}") from error
    options: list[str] = []
    for name, value in inputs.items():
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise CallRefused(f"{spec.name} has no input {name!r}; its inputs: {known}")
        if value is None:
            raise CallRefused(f"the input {name!r} is null; give a value, or leave it out")
        if is_data(declared[name]):
            # A text can be a list in JSON: what counts is what the command will read.
            _refuse_elsewhere(spec.parent, name, data_value(value, declared[name])[0])
        text = value if isinstance(value, str) else json.dumps(value)
        options += ["-i", f"{name}={text}"]
    return tuple(options)


def _refuse_elsewhere(folder: Path, name: str, value: Any) -> None:
    """Refuse a value of an input that reads files outside of the folder of the spec."""
    for path in value if isinstance(value, list) else [value]:
        if not isinstance(path, str):
            continue
        parts = Path(path).parts
        is_inside = (folder / path).resolve().is_relative_to(folder.resolve())
        if not is_inside or path.startswith(("/", "~")) or ".." in parts:
            raise CallRefused(
                f"the input {name!r} reads files, and {path!r} is outside of the spec's folder"
            )
