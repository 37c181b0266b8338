"""Commands that run jobs: run, resume, cancel, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orc.cli.options import (
    Database,
    Force,
    Job,
    Json,
    NoInput,
    Only,
    Quiet,
    Replies,
    RunsDir,
    SpecFile,
    Trust,
)

if TYPE_CHECKING:
    from orc.cli.jobs.submit import Submission
    from orc.cli.jobs.wiring import Places

Provider = Annotated[
    str | None,
    typer.Option("--provider", "-p", help="Switch the job's provider: NAME or NAME/MODEL."),
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="The job's model.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="A value for an input of the spec.", metavar="KEY=VALUE"),
]
InputsFile = Annotated[
    Path | None,
    typer.Option("--inputs", help="A YAML or JSON file of inputs; -i wins.", metavar="FILE"),
]
Strict = Annotated[
    bool,
    typer.Option(help="Refuse parameters that a provider drops; a tolerated failure exits 1."),
]


def run(
    spec: SpecFile,
    provider: Provider = None,
    model: Model = None,
    inputs: Inputs = None,
    inputs_file: InputsFile = None,
    database: Database = None,
    runs_dir: RunsDir = None,
    replies: Replies = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            help="Copy the job's files there, in place of the spec's output_dir.", metavar="DIR"
        ),
    ] = None,
    strict: Strict = False,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Write the replies to a file that `replay` answers from.", metavar="FILE"
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(help="Print what this step's model writes, as it comes.", metavar="STEP"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the spec, show the graph, submit nothing.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(help="Run this step, or these, and what they need.", metavar="STEP[,STEP]"),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    as_json: Json = False,
) -> int:
    """Submit a spec as a job and run it to its end."""
    from orc.cli.going_on import split_names
    from orc.cli.jobs.inputs import ask_missing, check_names, parse_inputs
    from orc.cli.jobs.submit import Submission
    from orc.cli.options import find_places

    given = parse_inputs(inputs or [], inputs_file)
    check_names(inputs_file, given, spec)
    if not (no_input or dry_run):
        given = ask_missing(spec, given)
    submission = Submission(
        path=spec,
        provider=provider,
        model=model,
        inputs=given,
        replies=replies,
        strict=strict,
        stream=stream,
        until=split_names(until),
        output_dir=output_dir,
    )
    if dry_run:
        return _show_plan(submission, as_json=as_json)
    places = find_places(database, runs_dir)
    return _run(
        submission,
        places,
        force=force,
        quiet=quiet,
        as_json=as_json,
        record=record,
    )


def resume(
    job: Job,
    database: Database = None,
    provider: Annotated[
        str | None, typer.Option("--provider", "-p", help="Only `replay`: use recorded replies.")
    ] = None,
    replies: Replies = None,
    timeout: Annotated[
        str | None, typer.Option(help="A new time limit for the whole job, such as 30m.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Let more be spent: +1.00 (dollars), +5000tokens, +10calls; STEP=+1.00.",
            metavar="AMOUNT",
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="Amend the job: what this edited spec changes runs again.", metavar="SPEC"
        ),
    ] = None,
    inputs: Inputs = None,
    only: Only = None,
    force: Force = False,
    trust: Trust = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Go on with a job that has stopped; with any job, by --spec.

    An edited spec amends the job: what it does not change keeps its results, what it changes
    runs again with all that follows from it. What runs, and why, is said first.
    """
    from orc.cli.errors import UsageProblem
    from orc.cli.going_on import go_on, split_names
    from orc.cli.jobs.inputs import parse_inputs

    if inputs and spec is None:
        raise UsageProblem("-i changes an input of an amended job: add --spec, or use `orc fork`")
    return go_on(
        job,
        database,
        amend=spec is not None,
        spec=spec,
        inputs=parse_inputs(inputs or []),
        only=split_names(only),
        provider=provider,
        replies=replies,
        timeout_s=_parse_timeout(timeout),
        budget=budget,
        force=force,
        trust=trust,
        quiet=quiet,
        strict=strict,
        as_json=as_json,
    )


def cancel(
    job: Job,
    database: Database = None,
    reason: Annotated[str | None, typer.Option(help="Kept with the event.")] = None,
    as_json: Json = False,
) -> int:
    """End a job: commands get SIGTERM, and SIGKILL after ten seconds."""
    import trio

    from orc.cli.jobs.wiring import cancel as cancel_job
    from orc.cli.options import find_places
    from orc.cli.terminal.text import put_json, say
    from orc.ledger.exit_codes import FAILED, SUCCEEDED

    async def call() -> tuple[str, str]:
        return await cancel_job(job, places=find_places(database), reason=reason)

    job_id, status = trio.run(call)
    if as_json:
        put_json({"job_id": job_id, "status": status})
    elif status == "cancelled":
        say(f"{job_id} is cancelled; `orc resume {job_id}` would go on with it")
    else:
        say(f"{job_id} had ended already: {status}")
    return SUCCEEDED if status == "cancelled" else FAILED


def demo(
    database: Database = None,
    runs_dir: RunsDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Run the example offline, on recorded replies."""
    from orc.cli.jobs.submit import Submission
    from orc.cli.options import find_places
    from orc.cli.terminal.text import say
    from orc.ledger.definition import REPLAY

    spec = example_spec()
    places = find_places(database, runs_dir)
    say(f"$ orc run {spec.name} --provider {REPLAY}", quiet=quiet)
    submission = Submission(path=spec, provider=REPLAY)
    code = _run(submission, places, quiet=quiet, as_json=as_json)
    if code == 0 and not quiet:
        say()
        say("Look next:")
        say("  orc show latest          the steps, and what they used")
        say("  orc show latest --files  the files, and which step wrote each")
        say("  orc tail latest          every event")
        say("  orc browse               the ledger in Datasette")
    return code


def example_spec() -> Path:
    """The example; `cli/examples` is a link to the repository's folder of that name."""
    return Path(__file__).parents[1] / "examples" / "tiny_spec.yaml"


def _run(
    submission: Submission,
    places: Places,
    *,
    force: bool = False,
    quiet: bool,
    as_json: bool,
    record: Path | None = None,
) -> int:
    import os

    from orc.about import version
    from orc.cli.going_on import report
    from orc.cli.jobs import wiring
    from orc.cli.terminal.make_display import make_display

    display = make_display(
        as_json=as_json, quiet=quiet, stream=submission.stream, prices=places.prices
    )
    with display:
        ended = wiring.run_sync(
            wiring.run,
            submission,
            places=places,
            environment=os.environ,
            version=version(),
            listener=display.listener(),
            force=force,
            record=record,
        )
    return report(ended, display, strict=submission.strict)


def _show_plan(submission: Submission, *, as_json: bool) -> int:
    import os

    from orc.cli.jobs.submit import prepare
    from orc.cli.terminal.text import is_plain_terminal, put, put_json, safe, terminal_width
    from orc.projections import text_graph
    from orc.projections.pictures.nodes import nodes_of_needs

    _, definition = prepare(submission, os.environ)
    needs = {step.id: step.needs for step in definition.steps}
    if as_json:
        put_json({"project": definition.project, "steps": needs})
        return 0
    kinds = {step.id: step.shape or step.kind for step in definition.steps}
    put(
        text_graph(
            nodes_of_needs(needs, kinds), width=terminal_width(), is_plain=is_plain_terminal()
        )
    )
    for step in definition.steps:
        what = f"{step.provider}/{step.model}" if step.facts.calls_model else step.kind
        put(f"{step.id}: {safe(what)}, at most {step.retry.max_attempts} attempt(s)")
    return 0


def _parse_timeout(text: str | None) -> float | None:
    from orc.cli.errors import UsageProblem
    from orc.scheduler.core.durations import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"--timeout {error}; got {text!r}") from None
