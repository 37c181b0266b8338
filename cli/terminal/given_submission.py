"""The submission that the options of `orc run`, `orc submit` and others describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orc.cli.jobs.caller.inputs import check_names, parse_inputs
from orc.cli.jobs.prepare import Submission
from orc.cli.options import parse_executors, split_names
from orc.cli.terminal.ask_inputs import ask_missing


def given_submission(
    spec: Path,
    *,
    inputs: list[str] | None,
    inputs_file: Path | None,
    no_input: bool = True,
    until: str | None = None,
    executors: list[str] | None = None,
    **options: Any,
) -> Submission:
    """The submission of a spec with options as they are typed; `options` are other fields of it.

    Unless `no_input` is set, inputs that the spec requires are asked for on a terminal. Raises
    UsageProblem, SpecError.
    """
    given = parse_inputs(inputs or [], inputs_file)
    check_names(inputs_file, given, spec)
    if not no_input:
        given = ask_missing(spec, given)
    return Submission(
        path=spec,
        inputs=given,
        until=split_names("--until", until),
        executors=parse_executors(executors),
        **options,
    )
