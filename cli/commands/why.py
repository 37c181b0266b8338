"""`orc why`: explains the state of a step, as text or as a JSON value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from orc.cli.errors import UsageProblem
from orc.cli.jobs.own_folder import folder_of
from orc.cli.ledger_access import read_ledger_and_tables
from orc.cli.options import Database, Full, Job, Json
from orc.cli.parameters import Argument
from orc.cli.terminal.job_folder import kept_work
from orc.cli.terminal.paragraphs import block, hanging
from orc.cli.terminal.text import put, put_json, safe
from orc.ledger.wording import number_text

if TYPE_CHECKING:
    from orc.ledger import LedgerReader
    from orc.projections.why.step import Why
    from orc.projections.why.texts import Statement

_NEAR = 40


def command(
    job: Job,
    step: Annotated[str, Argument(help="A step's id.", metavar="STEP", complete="complete_steps")],
    is_full: Full = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Explain why a step ran, waited, failed or was skipped."""
    with read_ledger_and_tables(database) as ledger:
        return _put_why(ledger, job, step, is_full=is_full, as_json=as_json)


def _put_why(ledger: LedgerReader, job: str, step: str, *, is_full: bool, as_json: bool) -> int:
    """Print the explanation of the step's state. Raises UsageProblem, NoSuchJob."""
    from msgspec import to_builtins

    from orc.ledger import has_owner
    from orc.projections.why.step import read_why

    job_id = ledger.find_job(job)
    rows = ledger.connection.execute("SELECT name FROM steps WHERE job_id = ?", (job_id,))
    names = {row[0] for row in rows}
    if step not in names:
        from orc.scheduler.core.errors import nearest

        raise UsageProblem(f"{job_id} has no step {step!r}{nearest(step, names)}")
    why = read_why(ledger, job_id, step, is_live=has_owner(ledger.path, job_id))
    kept = kept_work(folder_of(ledger, job_id, use="read"), [why.step]).get(step)
    if as_json:
        put_json(
            {
                "job_id": job_id,
                "step": step,
                "status": why.status,
                "verdict": why.verdict,
                "causes": [to_builtins(link) for link in why.causes],
                "statements": [to_builtins(said) for said in why.statements],
                "work_folder": None if kept is None else str(kept),
            }
        )
        return 0
    for line in _lines(why, is_full=is_full):
        put(line)
    if kept is not None:
        put(f"  its working folder was kept: {safe(kept)}")
    return 0


def _lines(why: Why, *, is_full: bool) -> Iterator[str]:
    yield _in_full(why.verdict, indent="  ")
    said = why.statements
    hidden = 0 if is_full else max(0, len(said) - 2 * _NEAR)
    for number, statement in enumerate(said):
        if hidden and number == _NEAR:
            yield f"  ... {number_text(hidden)} more: --full"
        if not hidden or number < _NEAR or number >= len(said) - _NEAR:
            at = f"{statement.at[11:19]}  " if statement.at else "          "
            yield _in_full(f"  {at}{statement.text}", _cited(statement), indent=" " * 12)


def _in_full(text: str, cited: str = "", *, indent: str) -> str:
    """The text; the lines after its first one, if there are any, are a block below it."""
    first, _, rest = text.partition("\n")
    # The margin of the block has four cells.
    below = f"\n{block(rest, indent=indent[4:])}" if rest.strip() else ""
    return f"{hanging(f'{safe(first)}{cited}', indent=indent)}{below}"


def _cited(statement: Statement) -> str:
    if not statement.events:
        return ""
    numbers = ", ".join(map(str, dict.fromkeys(statement.events)))
    return f" (event{'s' * (len(statement.events) > 1)} {numbers})"
