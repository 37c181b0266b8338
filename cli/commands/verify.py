"""`orc verify`: checks jobs against their hash chains, tables, files and known heads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from orc.cli.errors import UsageProblem
from orc.cli.jobs.folders import folder_of
from orc.cli.opening import database_path, find_places
from orc.cli.options import Database, Json
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger import LedgerReader, has_owner
from orc.ledger.connection import storage_errors
from orc.ledger.errors import NoSuchJob
from orc.ledger.exit_codes import SUCCEEDED, VERIFICATION
from orc.ledger.integrity import list_jobs
from orc.projections import Verifier
from orc.projections.money.prices import PriceTable
from orc.projections.verify import Verdict, missing_job

_HEAD = re.compile(r"(?:(job_[a-z0-9]{1,64})=)?([0-9a-f]{12,64})")
_CANNOT_KNOW = (
    "A cut-off tail or a whole removed job shows only against a head known from elsewhere: "
    "a run folder, or --head JOB=HASH."
)


def command(
    job: Annotated[
        str | None, typer.Argument(help="A job; default: all of them.", metavar="[JOB]")
    ] = None,
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            help="A head that is known from elsewhere; with JOB, its HASH is enough.",
            metavar="[JOB=]HASH",
        ),
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Check hash chains, blobs, tables and published files.

    Exits 5 when anything differs. A cut-off tail, or a job that is gone, shows only against a
    head that is known from elsewhere: from the run folder, or by --head.
    """
    return _verify_ledger(
        database_path(database),
        job,
        heads or [],
        prices=find_places(database).prices,
        as_json=as_json,
    )


def _verify_ledger(
    path: Path, name: str | None, heads: Iterable[str], *, prices: PriceTable, as_json: bool
) -> int:
    """Verify one job or all, and say so; the exit code. Raises LedgerError, UsageProblem."""
    known = _parse_heads(heads, is_one=name is not None)
    with LedgerReader.open(path) as ledger:
        verifier = Verifier(ledger, prices, is_live=lambda job_id: has_owner(path, job_id))
        problems: list[str] = []
        if name is None:
            with storage_errors(path):
                found = list(list_jobs(ledger.connection))
            jobs = [job_id for job_id, _ in found]
            problems += [problem for _, problem in found if problem]
        else:
            jobs = [_find(ledger, name, known)]
            known[jobs[0]] = [*known.pop("", []), *known[jobs[0]]]
        is_good = True
        for job_id in [*jobs, *(job_id for job_id in known if job_id not in jobs)]:
            verdict = _verify(verifier, job_id, known.get(job_id, []))
            is_good &= not verdict.problems
            _tell(verdict, as_json=as_json)
        problems += verifier.check_file()
    if as_json and (problems or name is None):
        put_json({"ledger": str(path), "problems": problems, "cannot_know": _CANNOT_KNOW})
    elif not as_json:
        if problems:
            say(f"{safe(path)}: {len(problems)} problem(s)")
        for problem in problems:
            say(f"  {safe(problem)}")
        say(_CANNOT_KNOW)
    return SUCCEEDED if is_good and not problems else VERIFICATION


def _verify(verifier: Verifier, job_id: str, heads: list[str]) -> Verdict:
    if heads and verifier.ledger.head(job_id).version == 0:
        return missing_job(job_id, heads)
    folder = folder_of(verifier.ledger, job_id)
    return verifier.check_job(job_id, folder=folder, heads=heads)


def _tell(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        put_json(
            {
                "job_id": verdict.job_id,
                "events": verdict.events,
                "head": verdict.head,
                "problems": list(verdict.problems),
                "notes": list(verdict.notes),
                "head_known_by": list(verdict.known_by),
            }
        )
        return
    known = f" (known by {' and '.join(verdict.known_by)})" if verdict.known_by else ""
    good = f"{verdict.events} events, head {verdict.head[:12]}...{known}, intact"
    said = f"{len(verdict.problems)} problem(s)" if verdict.problems else good
    say(f"{safe(verdict.job_id)}: {said}")
    for line in (*verdict.problems, *verdict.notes):
        say(f"  {safe(line)}")


def _find(ledger: LedgerReader, name: str, known: Mapping[str, list[str]]) -> str:
    try:
        return ledger.find_job(name)
    except NoSuchJob:
        # A job that somebody knows a head of, and that is not there, is a finding.
        if known and re.fullmatch(r"job_[a-z0-9]{12}", name):
            return name
        raise


def _parse_heads(heads: Iterable[str], *, is_one: bool) -> dict[str, list[str]]:
    """Hashes by job; those without one under an empty name. Raises UsageProblem."""
    found: dict[str, list[str]] = defaultdict(list)
    for text in heads:
        match = _HEAD.fullmatch(text.strip().lower())
        if match is None or not (match[1] or is_one):
            raise UsageProblem(
                f"--head {text}: must be JOB=HASH, or HASH where a JOB is named; a HASH is 12 to 64 "
                "hexadecimal digits, as `orc verify --json` and manifest.json have it"
            )
        found[match[1] or ""].append(match[2])
    return found
