"""What `orc doctor` looks at: versions, the linked SQLite, the ledger, prices, the providers."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import trio

from orc.about import install_command
from orc.cli.doctor.finding import Finding
from orc.cli.doctor.leftover_processes import Leftover, find_leftovers
from orc.cli.doctor.providers import examine_providers
from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.prices import find_own_prices, read_prices
from orc.cli.jobs.caller.trust import find_open_places
from orc.ledger import LedgerError, connect_reader
from orc.ledger.wording import count_text, size_text
from orc.providers.catalogue import REGISTRY
from orc.scheduler.core.errors import SpecError

_PACKAGES = (
    "pydantic", "sqlite-utils", "trio", "httpx", "tenacity", "typer", "datasette",
)  # fmt: skip
_WAL_WARN_BYTES = 64 * 1024 * 1024


def examine(database: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Everything, in the order in which it is shown; nothing is changed."""
    return [
        Finding("ok", "python", f"{sys.version.split()[0]} on {sys.platform}"),
        _sqlite(),
        *_packages(),
        *_ledger(database),
        _prices(database, environment),
        *trio.run(examine_providers, environment),
    ]


def has_wal_reset_bug(found: tuple[int, ...]) -> bool:
    """Whether that SQLite can lose a commit beside a checkpoint (3.7.0 to 3.51.2, but for backports)."""
    if found >= (3, 51, 3) or found < (3, 7, 0):
        return False
    return not ((3, 50, 7) <= found < (3, 51, 0) or (3, 44, 6) <= found < (3, 45, 0))


def _sqlite() -> Finding:
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < (3, 37, 0):
        return Finding("bad", "sqlite", f"{found}: too old, STRICT tables need 3.37")
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        return Finding(
            "ok", "sqlite", f"{found}: has the WAL-reset bug, which orc's write lock guards against"
        )
    return Finding("ok", "sqlite", found)


def _packages() -> list[Finding]:
    extras = {entry.package: entry.extra for entry in REGISTRY.values() if entry.package}
    findings = []
    for name, extra in {**dict.fromkeys(_PACKAGES), **extras}.items():
        try:
            findings.append(Finding("ok", name, version(name)))
        except PackageNotFoundError:
            if extra is None:
                findings.append(Finding("bad", name, "missing"))
            else:
                hint = f"not installed ({install_command(extra)})"
                findings.append(Finding("note", name, hint))
    return findings


def _ledger(database: Path) -> list[Finding]:
    if not database.exists():
        return [Finding("note", "ledger", f"none at {database} yet")]
    try:
        connection = connect_reader(database)
    except LedgerError as error:
        return [Finding("bad", "ledger", str(error))]
    try:
        jobs = connection.execute("SELECT count(*) FROM events WHERE version = 1").fetchone()[0]
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    finally:
        connection.close()
    findings = [
        Finding("ok", "ledger", f"{database}: {count_text(jobs, 'job')}, journal mode {mode}")
    ]
    if os.stat(database).st_mode & 0o077:
        findings.append(Finding("note", "ledger", "others may read it: chmod 600"))
    for path, what, mend in find_open_places(database):
        message = f"{path} {what}, and `orc resume` refuses its jobs without --trust; {mend}"
        findings.append(Finding("note", "trust", message))
    wal = database.with_name(database.name + "-wal")
    if wal.exists() and wal.stat().st_size > _WAL_WARN_BYTES:
        size = size_text(wal.stat().st_size)
        message = f"its -wal file has {size}: a program that reads for long keeps it growing"
        findings.append(Finding("note", "ledger", message))
    return findings + [_leftover(found, database) for found in find_leftovers(database)]


def _leftover(found: Leftover, database: Path) -> Finding:
    return Finding(
        "note",
        "process",
        f"{found.pid} ({found.command}) was left by {found.job_id}, which nobody runs; "
        f"`kill {found.pid}` ends it",
        {"pid": found.pid, "command": found.command, "job_id": found.job_id},
    )


def _prices(database: Path, environment: Mapping[str, str]) -> Finding:
    own = find_own_prices(database, environment)
    try:
        shipped, table = read_prices(None), read_prices(own)
    except (UsageProblem, SpecError) as error:
        return Finding("bad", "prices", "; ".join(str(error).splitlines()))
    seen = {price.seen for prices in shipped.models.values() for price in prices.values()}
    days = sorted(filter(None, seen))
    count = sum(len(prices) for prices in table.models.values())
    seen_from = f"those that come with orc were seen from {days[0]} to {days[-1]}"
    message = f"of {count_text(count, 'model')}; {seen_from}"
    if own is not None:
        message += f"; your own are in {own}"
    details = {"date": str(shipped.date), "file": None if own is None else str(own)}
    return Finding("ok", "prices", message, details)
