"""The values of a job's inputs, and of those of its workflows; files and tables are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orc.ledger.inputs.read_inputs import ReadInput
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.language.templates import texts_in
from orc.scheduler.core.resolve.prompt import Report, Settings
from orc.scheduler.core.spec.data_inputs import ReadRequest, is_data
from orc.scheduler.core.spec.input_spec import InputSpec
from orc.scheduler.core.spec.inputs import default_problem, is_required, read_input

Inputs = Mapping[str, InputSpec]


def resolve_inputs(
    declared: Inputs, settings: Settings, folder: str, *, report: Report
) -> tuple[dict[str, Any], dict[str, ReadInput]]:
    """The values of the inputs, and those that are read. `folder` is that of the defaults' paths."""
    values: dict[str, Any] = {}
    read: dict[str, ReadInput] = {}
    for name in settings.inputs:
        if name not in declared:
            report(f"inputs.{name}: the spec has no such input{nearest(name, declared)}")
    for name, spec in declared.items():
        is_given = name in settings.inputs
        if is_given:
            value, reason = read_input(settings.inputs[name], spec)
        elif is_required(spec):
            if not settings.needs_inputs:
                continue
            about = f" ({spec.description})" if spec.description else ""
            report(
                f"inputs.{name}: a value is required{about}; give it with -i {name}=VALUE",
                "inputs",
                name,
            )
            continue
        else:
            value, reason = spec.default, ""
            if is_data(spec) and default_problem(spec):
                # It is reported by the check of the spec.
                continue
        if is_data(spec) and value is not None and not reason:
            try:
                request = ReadRequest(name, spec, value, not is_given, folder)
                read[name] = settings.read_input(request)
            except ValueError as error:
                reason = str(error)
        else:
            values[name] = value
        if reason and is_given:
            report(f"inputs.{name}: {reason}")
        elif reason:
            report(f"inputs.{name}.default: {reason}", "inputs", name, "default")
    return values, read


def workflow_inputs(
    declared: Inputs, given: Mapping[str, Any], settings: Settings, *, outer: str, inner: str
) -> tuple[dict[str, Any], dict[str, ReadInput], list[str]]:
    """The values of a workflow's inputs, those that are read, and what is wrong with them.

    `given` is what the step has under `with`; relative paths in it are those of the folder `outer`,
    those of defaults of `inner`.
    """
    values: dict[str, Any] = {name: spec.default for name, spec in declared.items()} | dict(given)
    read: dict[str, ReadInput] = {}
    problems: list[str] = []
    for name, spec in declared.items():
        value = values[name]
        if not is_data(spec) or value is None or texts_in(value):
            continue
        del values[name]
        is_given = name in given
        try:
            request = ReadRequest(name, spec, value, True, outer if is_given else inner)
            read[name] = settings.read_input(request)
        except ValueError as error:
            where = f"with.{name}" if is_given else f"workflow: inputs.{name}.default"
            problems.append(f"{where}: {error}")
    return values, read, problems
