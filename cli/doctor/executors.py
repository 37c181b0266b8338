"""The check of `orc doctor` for the executors of the site file; without one, it finds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orc.cli.cluster.reports import ExecutorReport, examine_executors
from orc.cli.doctor.finding import Finding
from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.sites import read_sites
from orc.ledger import LedgerError
from orc.ledger.wording import count_text
from orc.scheduler.core.errors import SpecError


def find_executors(database: Path, environment: Mapping[str, str]) -> list[Finding]:
    """A finding for each executor. Each is asked what it has, and runs nothing."""
    try:
        sites = read_sites(database, environment)
    except (UsageProblem, SpecError, LedgerError) as error:
        return [Finding("bad", "executors", "; ".join(str(error).splitlines()))]
    return [
        finding
        for report in examine_executors(sites, list(sites.executors))
        for finding in _findings(report)
    ]


def _findings(report: ExecutorReport) -> list[Finding]:
    details = report.as_json()
    if report.problem is not None:
        return [Finding("bad", "executor", report.problem, details)]
    tls = "with TLS" if report.is_encrypted else "without TLS"
    message = f"{report.name} answers {tls}; {count_text(len(report.workers), 'worker')}"
    notes = [Finding("note", "executor", f"{report.name}: {note}") for note in report.notes]
    return [Finding("ok", "executor", message, details), *notes]
