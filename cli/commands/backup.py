"""`orc backup`: copies the whole ledger to a file."""

from __future__ import annotations

from orc.cli.ledger_access import database_path
from orc.cli.options import Database, Json, ReplaceFile, TargetFile, target_file
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.wording import count_text, size_text


def command(
    file: TargetFile,
    force: ReplaceFile = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Copy the whole ledger to a file; jobs may keep running.

    FILE appears only after the copy was checked. Run folders are not copied; `orc export` writes
    them again.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.ledger.files.exposure import examine_ledger
    from orc.ledger.transport.backup import write_backup

    ledger = database_path(database)
    file = target_file(file, as_json=as_json)
    done = write_backup(ledger, file.absolute(), force=force)
    if as_json:
        put_json(
            {
                "file": str(file.absolute()),
                "jobs": done.jobs,
                "events": done.events,
                "size_bytes": done.size_bytes,
            }
        )
    else:
        counted = (
            f"{count_text(done.jobs, 'job')}, {count_text(done.events, 'event')}, "
            f"{size_text(done.size_bytes)}"
        )
        say(f"{safe(file)}: {counted}, checked")
    if any(fault.cause == "writers" for fault in examine_ledger(ledger).faults):
        say(
            f"orc: other users could change {safe(ledger)}. The copy is yours, so that orc runs the "
            "commands of its jobs without --trust: look at them before you resume one"
        )
    return 0
