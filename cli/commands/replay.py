"""`orc replay`: runs a job again from its recorded replies, and compares the two."""

from __future__ import annotations

import os

from orc.about import version
from orc.cli.ledger_access import find_places
from orc.cli.options import Database, EnvFile, Job, Json, Quiet, RunsDir, SpecDir, Trust
from orc.cli.output_mask import mask_output
from orc.cli.terminal.paragraphs import paragraph
from orc.cli.terminal.text import put, put_json, safe
from orc.ledger.command_lines import command_line
from orc.ledger.exit_codes import SUCCEEDED, VERIFICATION

SHOWN_MAX = 2_000


def command(
    job: Job,
    database: Database = None,
    env_file: EnvFile = None,
    runs_dir: RunsDir = None,
    spec_dir: SpecDir = None,
    trust: Trust = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Run a job again from its recorded replies, and compare.

    No model is called. Commands and functions do run again, in a separate run folder. Prints the
    first difference, and exits 5 if there is one.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.caller.spec_dir import check_spec_dir
    from orc.cli.jobs.replay import replay as replay_job
    from orc.cli.jobs.sync import run_sync
    from orc.cli.terminal.make_display import make_display

    # The progress of the run goes to stderr; only the comparison goes to stdout.
    places = find_places(database, runs_dir)
    display = make_display(
        as_json=False, quiet=quiet or as_json, prices=places.prices, database=places.database
    )

    with display:
        replayed = run_sync(
            replay_job,
            job,
            places=places,
            environment=os.environ,
            version=version(),
            listener=display.listener(),
            trust=trust,
            spec_dir=check_spec_dir(spec_dir),
        )
    first = replayed.differences[0] if replayed.differences else None
    if as_json:
        put_json(
            {
                "job_id": replayed.original,
                "replay": replayed.ended.job_id,
                "status": replayed.ended.status,
                "differences": len(replayed.differences),
                "first": None if first is None else first.as_json(),
            }
        )
    elif first is None:
        put(f"{replayed.original} and its replay {replayed.ended.job_id} do not differ")
    else:
        put(f"step {first.step}: {safe(first.what)} differs")
        put(_shown("recorded:", first.recorded))
        put(_shown("replayed:", first.found))
        others = len(replayed.differences) - 1
        if others:
            put(f"  (and {others} more)")
        put(f"  see: {command_line('show', replayed.ended.job_id, '--events', '--json')}")
    return SUCCEEDED if first is None else VERIFICATION


def _shown(lead: str, value: object) -> str:
    """The value with its lines; the beginning of a long one, masked before it is cut."""
    text = str(value)
    if len(text) > SHOWN_MAX:
        text = f"{mask_output(text)[:SHOWN_MAX]} ..."
    return paragraph(lead, text, indent="  ")
