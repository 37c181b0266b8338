"""`orc chaos`: kills a spec's run after each commit, resumes it, and compares the results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from orc.cli.options import (
    NUMBER_MAX,
    EnvFile,
    Executors,
    Inputs,
    InputsFile,
    Json,
    Quiet,
    Replies,
    SpecFile,
)
from orc.cli.parameters import Option
from orc.cli.terminal.text import put, put_json, say
from orc.ledger.errors import StorageError
from orc.ledger.exit_codes import FAILED, SIGNALS, SUCCEEDED, VERIFICATION
from orc.ledger.files.descriptors import is_stream
from orc.ledger.files.private_folder import TRIAL, temporary_place
from orc.ledger.files.temporary import sweep, workplace
from orc.ledger.files.unfinished import unfinished
from orc.ledger.files.way import LEDGER_VARIABLE, ledger_path

if TYPE_CHECKING:
    from orc.cli.chaos.trial import Report, Trial

SHOWN_MAX = 20


def command(
    spec: SpecFile,
    inputs: Inputs = None,
    inputs_file: InputsFile = None,
    replies: Replies = None,
    executors: Executors = None,
    sample: Annotated[
        int | None,
        Option(
            help="Kill after this many commits only, chosen at random.",
            metavar="N",
            min=1,
            max=NUMBER_MAX,
        ),
    ] = None,
    seed: Annotated[
        int, Option(help="The seed of the random choice by --sample.", metavar="N")
    ] = 0,
    jobs: Annotated[
        int, Option(help="How many runs to do at the same time.", metavar="N", min=1, max=64)
    ] = 2,
    keep: Annotated[
        Path | None,
        Option(help="Keep every ledger and run folder in this new folder.", metavar="DIR"),
    ] = None,
    env_file: EnvFile = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Test a spec: kill its run after each commit, resume, compare.

    Recorded replies answer every model call. The spec's commands and functions do run, once for
    each commit. With --executor, they run there and go on when orc is killed. Exits 1 if a promise
    of orc is broken, and 5 if only results of commands or functions differ.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.chaos.trial import Trial
    from orc.cli.jobs.caller.prices import PRICES_VARIABLE, find_own_prices, read_prices
    from orc.cli.jobs.caller.sites import SITES_VARIABLE, find_site_file
    from orc.cli.jobs.prepare import prepare_run
    from orc.cli.terminal.given_submission import given_submission
    from orc.ledger.definition import REPLAY

    submission = given_submission(
        spec,
        provider=REPLAY,
        inputs=inputs,
        inputs_file=inputs_file,
        replies=replies,
        executors=executors,
    )
    # Problems of the spec are reported here, before anything runs.
    definition = prepare_run(submission, os.environ).definition
    database = ledger_path(None, os.environ)
    own_prices = find_own_prices(database, os.environ)
    site_file = find_site_file(database, os.environ)
    environment = {name: value for name, value in os.environ.items() if name != LEDGER_VARIABLE}
    if own_prices is not None:
        environment[PRICES_VARIABLE] = str(own_prices)
    if site_file is not None:
        environment[SITES_VARIABLE] = str(site_file)
    with _folder(keep, spec) as folder:
        # The runs of the trial have other descriptors than this process.
        inputs_file = inputs_file and _as_file(inputs_file, folder / "inputs.yaml")
        replies = replies and _as_file(replies, folder / "replies.yaml")
        trial = Trial(
            spec=_as_file(spec, folder / "spec.yaml").absolute(),
            arguments=_pass_on(inputs, inputs_file, replies, executors),
            definition=definition,
            environment=environment,
            prices=read_prices(own_prices),
            folder=folder,
            keep=keep is not None,
            sample=sample,
            seed=seed,
            jobs=jobs,
        )
        return _run_trial(trial, quiet=quiet, as_json=as_json)


def _as_file(path: Path, copy: Path) -> Path:
    """The file, or a copy of what is in a pipe."""
    from orc.cli.jobs.caller.spec_files import read_yaml_bytes

    if not is_stream(path):
        return path
    copy.write_bytes(read_yaml_bytes(path))
    return copy


@contextmanager
def _folder(keep: Path | None, spec: Path) -> Iterator[Path]:
    """The folder of the trial: `keep`, or a temporary one. A killed trial's is emptied first.

    Raises FileIsThere, StorageError.
    """
    from orc.cli.chaos.trial import TRIAL_FOLDERS, remove_folder

    if keep is not None:
        folder = keep.absolute()
        with unfinished(folder, f"trial of {spec.name}"):
            for name in TRIAL_FOLDERS:
                for left in folder.glob(name):
                    remove_folder(left)
            yield folder
        return
    base = temporary_place() / TRIAL
    try:
        sweep(base.parent, [base.name])
        with workplace(base) as private:
            folder = private / "trial"
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                remove_folder(folder)
    except OSError as error:
        raise StorageError(f"{base.parent}: {error.strerror or error}") from error


def _pass_on(
    inputs: list[str] | None,
    inputs_file: Path | None,
    replies: Path | None,
    executors: list[str] | None,
) -> tuple[str, ...]:
    """The options of this command that every `orc run` of the trial gets."""
    from orc.ledger.definition import REPLAY

    arguments = ["--provider", REPLAY]
    for pair in inputs or []:
        arguments += ["--input", pair]
    for name in executors or []:
        arguments += ["--executor", name]
    for option, path in (("--inputs", inputs_file), ("--replies", replies)):
        if path is not None:
            arguments += [option, str(path.absolute())]
    return tuple(arguments)


def _run_trial(trial: Trial, *, quiet: bool, as_json: bool) -> int:
    import trio

    from orc.cli.chaos.display import make_chaos_display, say_plan
    from orc.cli.chaos.trial import run_trial
    from orc.cli.jobs.sync import run_sync
    from orc.scheduler.stopping import open_stop_signals

    caught: list[str] = []

    async def until_stopped() -> Report | None:
        report: Report | None = None
        async with trio.open_nursery() as nursery, open_stop_signals() as names:

            async def watch() -> None:
                async for name in names:
                    caught.append(name)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            with make_chaos_display(quiet=quiet or as_json) as display:
                report = await run_trial(trial, display)
            nursery.cancel_scope.cancel()
        return report

    say_plan(trial, quiet=quiet or as_json)
    report = run_sync(until_stopped)
    if caught or report is None:
        say(f"stopped by {caught[0]}: there is no result, and all processes have ended")
        return SIGNALS[caught[0]]
    _show(trial, report, as_json=as_json)
    return {"held": SUCCEEDED, "different": VERIFICATION, "broken": FAILED}[report.verdict]


def _show(trial: Trial, report: Report, *, as_json: bool) -> None:
    from orc.cli.chaos.display import report_lines

    if as_json:
        put_json(_as_json(trial, report))
        return
    for line in report_lines(trial, report, shown_max=SHOWN_MAX):
        put(line)


def _as_json(trial: Trial, report: Report) -> dict[str, Any]:
    return {
        "verdict": report.verdict,
        "spec": str(trial.spec),
        "status": report.reference.end.status,
        "events": report.reference.events,
        "commits": report.reference.commits,
        "runs": len(report.cases),
        "kills": sum(case.was_killed for case in report.cases),
        "seed": None if trial.sample is None else trial.seed,
        "unsteady": [{"step": finding.step, "what": finding.what} for finding in report.unsteady],
        "findings": [
            {
                "commit": case.commit,
                "seq": None if case.last is None else case.last.version,
                "after": None if case.last is None else case.last.event.type,
                "promise": finding.promise,
                "broken": finding.is_broken,
                "step": finding.step,
                "what": finding.what,
            }
            for case in report.cases
            for finding in case.findings
        ],
        "folder": str(trial.folder) if trial.keep else None,
    }
