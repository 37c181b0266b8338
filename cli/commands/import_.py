"""`orc import`: imports a job from a bundle, after checking all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Json
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put_json, say
from orc.ledger.command_lines import command_line
from orc.ledger.files.descriptors import is_descriptor, without_dash
from orc.ledger.wording import count_text


def command(
    file: Annotated[
        Path, Argument(help="A file that orc bundle wrote; - is stdin.", metavar="FILE")
    ],
    trust: Annotated[
        bool,
        Option(
            "--trust", help="Trust the job's author: the job's commands may run on this machine."
        ),
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Import a job from a bundle, after checking all of it.

    The job's hash chain stays the same. If the ledger has the job with other events, the import is
    refused with exit code 5. Without --trust the job can be read, but not run.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.bundle import import_bundle

    file = without_dash(file, "/dev/stdin")
    places = find_places(database)
    done = import_bundle(file.absolute(), places.database, prices=places.prices, is_trusted=trust)
    if as_json:
        put_json(
            {
                "job_id": done.job_id,
                "events_before": done.before,
                "events": done.after,
                "trusted": done.is_trusted,
            }
        )
        return 0
    if done.before == 0:
        say(f"{done.job_id}: {count_text(done.after, 'event')} imported")
    elif done.before < done.after:
        say(
            f"{done.job_id}: events {done.before + 1} to {done.after} imported; events 1 to "
            f"{done.before} were in the ledger"
        )
    else:
        say(f"{done.job_id}: already in the ledger, with {count_text(done.after, 'event')}")
    if not done.is_trusted:
        again = "FILE" if is_descriptor(file) else file
        trusting = command_line("import", again, "--trust")
        say(f"orc resume refuses this job until you run: {trusting}")
    elif trust:
        say("its author is trusted: its commands may run on this machine")
    say(f"next: {command_line('show', done.job_id)}")
    return 0
