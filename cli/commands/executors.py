"""`orc executors`: connects to the executors of the site file, and shows what they have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from orc.cli.ledger_access import database_path
from orc.cli.options import Database, Json
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger.exit_codes import ENVIRONMENT, SUCCEEDED
from orc.ledger.wording import count_text, duration_text, size_text

if TYPE_CHECKING:
    from orc.cli.cluster.reports import ExecutorReport

Name = Annotated[
    str | None,
    Argument(help="An executor of the site file. Default: all.", metavar="NAME"),
]
Clean = Annotated[bool, Option("--clean", help="Remove what ended steps left on the workers.")]


def command(
    name: Name = None, clean: Clean = False, database: Database = None, as_json: Json = False
) -> int:
    """Connect to executors: versions, TLS, workers, capacity, lease.

    They stand in the site file `executors.yaml`: in $ORC_EXECUTORS, else beside the ledger, else in
    ~/.config/orc. Exits 7 if one cannot be used, and says what to do.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.cluster.reports import examine_executors
    from orc.cli.jobs.caller.sites import read_sites

    sites = read_sites(database_path(database), os.environ)
    names = list(sites.executors) if name is None else [name]
    reports = examine_executors(sites, names, clean=clean)
    if as_json:
        put_json(
            {
                "site_file": None if sites.path is None else str(sites.path),
                "local": dict(sites.local),
                "executors": [report.as_json() for report in reports],
            }
        )
    else:
        if not reports:
            say("there are no executors besides this machine; docs/cluster.md shows how to add one")
        for report in reports:
            _show(report)
    return SUCCEEDED if all(report.is_usable for report in reports) else ENVIRONMENT


def _show(report: ExecutorReport) -> None:
    if report.problem is not None:
        put(f"bad   {safe(report.problem)}")
    else:
        tls = "TLS" if report.is_encrypted else "no TLS"
        put(
            f"ok    {safe(report.name)}: {safe(report.engine)}, {tls}; "
            f"{count_text(len(report.workers), 'worker')}{_amounts(report)}; "
            f"lease {duration_text(report.lease_s)}"
            f"{f'; files shared in {safe(report.shared)}' if report.shared else ''}"
        )
    for worker in report.workers:
        has = ", ".join(_amount(name, value) for name, value in worker["capacity"].items())
        put(
            f"      {safe(worker['host'])} {safe(worker['worker'])}: {safe(has)}; "
            f"orc {safe(worker['orc'])}, Python {safe(worker['python'])}"
        )
    if report.removed is not None:
        put(f"      removed: {count_text(report.removed, 'folder')} of ended steps")
    for note in report.notes:
        put(f"note  {safe(report.name)}: {safe(note)}")


def _amounts(report: ExecutorReport) -> str:
    return "".join(f", {safe(_amount(name, value))}" for name, value in report.capacity.items())


def _amount(name: str, value: float) -> str:
    from orc.scheduler.drivers.rooms import SLOTS

    if name == "memory":
        return f"memory {size_text(int(value))}"
    return f"{name} {value:g}" if name != SLOTS else count_text(int(value), "slot")
