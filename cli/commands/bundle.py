"""`orc bundle`: writes one job to a file that `orc import` can read."""

from __future__ import annotations

from orc.cli.ledger_access import find_places, read_ledger
from orc.cli.options import Database, Job, Json, ReplaceFile, TargetFile, target_file
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.command_lines import quoted
from orc.ledger.files.descriptors import DASH, is_descriptor
from orc.ledger.wording import count_text


def command(
    job: Job,
    file: TargetFile,
    force: ReplaceFile = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Write one job to a file that orc import can read.

    The file has the job's events, its blobs and its tables. A job that is running is refused.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.bundle import bundle_job

    file = target_file(file, as_json=as_json)
    prices = find_places(database).prices
    with read_ledger(database) as ledger:
        job_id = ledger.find_job(job)
        head = bundle_job(ledger, job_id, file.absolute(), prices=prices, force=force)
    if as_json:
        put_json(
            {
                "job_id": job_id,
                "file": str(file.absolute()),
                "events": head.version,
                "head": head.hash,
            }
        )
    else:
        say(
            f"{job_id}: {count_text(head.version, 'event')}, head {head.hash[:12]}..., in {safe(file)}"
        )
        again = DASH if is_descriptor(file) else file
        say(f"to import it into another ledger: orc import {quoted(again)}")
    return 0
