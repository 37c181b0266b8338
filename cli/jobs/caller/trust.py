"""Refuses to run the commands of imported jobs.

Resuming a job runs the commands in its ledger. An imported job is therefore refused unless the caller
trusts its author; `open_to_continue` refuses a ledger that another user could change. Reading them
needs no trust.
"""

from __future__ import annotations

from pathlib import Path

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.ledger.command_lines import quoted_command
from orc.ledger.files.descriptors import is_descriptor
from orc.ledger.transport.imported import imported


def refuse_untrusted(ledger: LedgerReader, job_id: str, *, trust: bool) -> None:
    """Raise UsageProblem if the job was imported from an author who is not trusted."""
    if trust:
        return
    note = imported(ledger.connection, job_id)
    if note is not None and not note["trusted"]:
        # A pipe cannot be read again.
        source = "FILE" if is_descriptor(Path(note["from"])) else note["from"]
        raise UsageProblem(
            f"{job_id} was imported from {note['from']}: to continue it would run its author's "
            "commands, as you. If you trust the author, add --trust (once), or run "
            f"{quoted_command('import', source, '--trust')} (for good)"
        )
