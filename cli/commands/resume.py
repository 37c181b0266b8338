"""`orc resume`: continues a job that has stopped, or amends a job with an edited spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from orc.cli.errors import UsageProblem
from orc.cli.options import (
    Database,
    EnvFile,
    Force,
    Inputs,
    Interactive,
    Job,
    JobReplies,
    Json,
    KeepWork,
    NoInput,
    NoWait,
    Only,
    OtherExecutors,
    Quiet,
    SpecDir,
    Strict,
    Trust,
    parse_other_executors,
    split_names,
)
from orc.cli.parameters import Option
from orc.ledger.command_lines import quoted_command
from orc.scheduler.core.durations import parse_duration


def command(
    job: Job,
    database: Database = None,
    provider: Annotated[
        str | None,
        Option(
            "--provider",
            "-p",
            help="Only `replay` is allowed: answer from recorded replies, by default those beside "
            "the spec.",
            metavar="NAME",
        ),
    ] = None,
    replies: JobReplies = None,
    timeout: Annotated[
        str | None,
        Option(help="A new time limit for the whole job, such as 30m.", metavar="DURATION"),
    ] = None,
    budget: Annotated[
        list[str] | None,
        Option(
            help="Raise a limit of the job's budget: +1.00 (dollars), +5000tokens or +10calls; for "
            "a step's budget STEP=+1.00. Repeatable.",
            metavar="AMOUNT",
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        Option(
            help="Amend the job with this edited spec: steps that it changes run again.",
            metavar="SPEC",
            complete="complete_specs",
        ),
    ] = None,
    inputs: Inputs = None,
    only: Only = None,
    executors: OtherExecutors = None,
    force: Force = False,
    keep_work: KeepWork = False,
    no_wait: NoWait = False,
    spec_dir: SpecDir = None,
    trust: Trust = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    interactive: Interactive = False,
    strict: Strict = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Continue a job that has stopped; with --spec, amend it first.

    Steps that have succeeded do not run again. An edited spec may amend any job, also one that
    has succeeded: the steps that it changes run again with all their dependents, and all other
    steps keep their results. The command first prints which steps will run, and why.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.terminal.foreground import check_interactive, resume_in_foreground

    if inputs and spec is None:
        raise UsageProblem(
            "-i changes inputs only together with --spec; add --spec SPEC, or use "
            f"{quoted_command('fork', job, '--set', 'inputs.' + inputs[0])}"
        )
    check_interactive(interactive, no_input=no_input, as_json=as_json)
    return resume_in_foreground(
        job,
        database,
        amend=spec is not None or spec_dir is not None,
        spec=spec,
        spec_dir=spec_dir,
        inputs=_parse_inputs(inputs or []),
        no_input=no_input,
        only=split_names("--only", only),
        provider=provider,
        replies=replies,
        timeout_s=_parse_timeout(timeout),
        budget=tuple(budget or ()),
        force=force,
        keep_work=keep_work,
        wait=not no_wait,
        executors=parse_other_executors(executors),
        trust=trust,
        quiet=quiet,
        strict=strict,
        as_json=as_json,
        interactive=interactive,
    )


def _parse_inputs(words: list[str]) -> dict[str, str]:
    if not words:
        return {}
    # Only an edited spec has new inputs; its parser is not loaded for others.
    from orc.cli.jobs.caller.inputs import parse_inputs

    return parse_inputs(words)


def _parse_timeout(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"--timeout {error}; got {text!r}") from None
