"""`orc submit`: puts a spec into the queue as a job, which `orc work` runs."""

from __future__ import annotations

import os
from typing import Annotated

from orc.about import version
from orc.cli.ledger_access import find_places
from orc.cli.options import (
    Database,
    EnvFile,
    Executors,
    Force,
    Inputs,
    InputsFile,
    Json,
    Model,
    NoInput,
    OutputDir,
    Provider,
    Quiet,
    Replies,
    RunsDir,
    SpecFile,
    Tags,
    Until,
)
from orc.cli.parameters import Option
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger.command_lines import quoted_command


def command(
    spec: SpecFile,
    provider: Provider = None,
    model: Model = None,
    inputs: Inputs = None,
    inputs_file: InputsFile = None,
    database: Database = None,
    runs_dir: RunsDir = None,
    replies: Replies = None,
    output_dir: OutputDir = None,
    strict: Annotated[
        bool,
        Option(
            help="Refuse parameters that a provider does not support, and a job that could not run "
            "in this environment; fail steps whose patterns of files match nothing."
        ),
    ] = False,
    until: Until = None,
    tags: Tags = None,
    executors: Executors = None,
    force: Force = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Put a spec into the queue; orc work runs it.

    Checks everything that orc run checks, records the job, and prints its id. Nothing runs.
    Secrets and keys of providers are read by the worker; what is missing here is reported.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.assess.tags import tags_of
    from orc.cli.jobs.submit import submit
    from orc.cli.terminal.given_submission import given_submission

    submission = given_submission(
        spec,
        provider=provider,
        model=model,
        inputs=inputs,
        inputs_file=inputs_file,
        replies=replies,
        strict=strict,
        until=until,
        output_dir=output_dir,
        executors=executors,
        tags=tags_of(tags),
        no_input=no_input,
    )
    places = find_places(database, runs_dir)
    job_id = submit(
        submission,
        places=places,
        environment=os.environ,
        version=version(),
        force=force,
        on_notice=lambda text: None if quiet else say(f"orc: {safe(text)}"),
    )
    if as_json:
        put_json({"event": "queued", "job_id": job_id})
        return 0
    put(job_id)
    if not quiet:
        say(f"queued; {quoted_command('work')} runs it")
    return 0
