"""`orc verify`: chooses the jobs to verify, and the known heads to compare them with."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.jobs.own_folder import folder_of
from orc.ledger import LedgerReader, has_owner
from orc.ledger.command_lines import quoted_command
from orc.ledger.connection import storage_errors
from orc.ledger.errors import NoSuchJob
from orc.ledger.integrity import list_jobs
from orc.ledger.names import is_job_id
from orc.projections import Verifier
from orc.projections.money.prices import PriceTable
from orc.projections.verify import Verdict, missing_job

_HEAD = re.compile(r"(?:(job_[a-z0-9]{1,64})=)?([0-9a-f]{12,64})")


class Verification(Struct, frozen=True):
    """The result of a verification: a verdict for each job, and problems of the ledger file."""

    ledger: Path
    jobs: tuple[Verdict, ...]
    problems: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        """Whether no problem was found."""
        return not self.problems and not any(verdict.problems for verdict in self.jobs)


def verify_ledger(
    path: Path,
    name: str | None,
    heads: Iterable[str],
    *,
    prices: PriceTable,
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
) -> Verification:
    """Verify one job or, for None, all jobs; `on_verdict` is called after each job.

    `heads` are texts `JOB=HASH`, or `HASH` if one job is verified. Raises LedgerError,
    UsageProblem.
    """
    known = _parse_heads(heads, is_one=name is not None)
    verdicts: list[Verdict] = []
    with (
        LedgerReader.open(path, checked=False) as ledger,
        Verifier(ledger, prices, is_live=lambda job_id: has_owner(path, job_id)) as verifier,
    ):
        problems = verifier.check_schema()
        if problems and not verifier.has_own_tables():
            # What has the names of the tables may be anything: it is not read.
            return Verification(path, (), tuple(problems))
        if name is None:
            with storage_errors(path):
                found = list(list_jobs(ledger.connection))
            jobs = [job_id for job_id, problem in found if not problem]
            problems += [problem for _, problem in found if problem]
        else:
            jobs = [_find(ledger, name, known)]
            known[jobs[0]] = [*known.pop("", []), *known[jobs[0]]]
        for job_id in [*jobs, *(job_id for job_id in known if job_id not in jobs)]:
            verdicts.append(_verify(verifier, job_id, known.get(job_id, [])))
            on_verdict(verdicts[-1])
        # The last check of the file also compares the schema.
        problems += [found for found in verifier.check_file() if found not in problems]
    return Verification(path, tuple(verdicts), tuple(problems))


def _verify(verifier: Verifier, job_id: str, heads: list[str]) -> Verdict:
    if heads and verifier.ledger.head(job_id).version == 0:
        return missing_job(job_id, heads)
    folder = folder_of(verifier.ledger, job_id, use="read")
    return verifier.check_job(job_id, folder=folder, heads=heads)


def _find(ledger: LedgerReader, name: str, known: Mapping[str, list[str]]) -> str:
    try:
        return ledger.find_job(name)
    except NoSuchJob:
        # A job that has a known head and is not in the ledger is reported as a problem.
        if known and is_job_id(name):
            return name
        raise


def _parse_heads(heads: Iterable[str], *, is_one: bool) -> dict[str, list[str]]:
    """The hashes by job id; those without a job under an empty id. Raises UsageProblem."""
    found: dict[str, list[str]] = defaultdict(list)
    for text in heads:
        match = _HEAD.fullmatch(text.strip().lower())
        if match is None or not (match[1] or is_one):
            raise UsageProblem(
                f"--head {text}: must be JOB=HASH, or HASH if a JOB is given; a HASH is 12 to 64 "
                f"hexadecimal digits, as in {quoted_command('verify', '--json')} and in manifest.json"
            )
        found[match[1] or ""].append(match[2])
    return found
