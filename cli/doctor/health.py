"""All checks of `orc doctor`: versions, SQLite, packages, the ledger, prices, providers."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import trio

from orc.about import install_command
from orc.cli.doctor.executors import find_executors
from orc.cli.doctor.finding import Finding
from orc.cli.doctor.leftover_files import (
    LeftoverFile,
    find_leftover_files,
    find_private_leftovers,
)
from orc.cli.doctor.leftover_processes import Leftover, find_leftovers
from orc.cli.doctor.providers import examine_providers
from orc.cli.doctor.servers import servers_here, servers_of_spec
from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.prices import describe_published, find_own_prices, read_prices
from orc.ledger import LedgerError, connect_reader
from orc.ledger.command_lines import quoted_command
from orc.ledger.files.exposure import examine_folder, examine_ledger
from orc.ledger.files.ledger_origin import lineage_of
from orc.ledger.wording import count_text, size_text
from orc.providers.catalogue import REGISTRY
from orc.scheduler.core.errors import SpecError

_PACKAGES = (
    "pydantic", "sqlite-utils", "trio", "httpx", "tenacity", "typer", "datasette",
)  # fmt: skip
_SHOWN_MAX = 50
_SHOWN_LINEAGE_MAX = 5
_WAL_WARN_BYTES = 64 * 1024 * 1024


def examine(
    database: Path, environment: Mapping[str, str], spec: Path | None = None
) -> list[Finding]:
    """The results of all checks, in the order of output. Nothing is changed.

    Named servers are those of the spec, or else those that are set up here. Raises SpecError and
    UsageProblem for a spec that cannot be used.
    """
    if spec is not None:
        servers, wrong = servers_of_spec(spec, environment), list[Finding]()
    else:
        servers, wrong = servers_here(environment)
    return [
        Finding("ok", "python", f"{sys.version.split()[0]} on {sys.platform}"),
        _sqlite(),
        *_packages(),
        *_ledger(database),
        *_leftovers(find_private_leftovers()),
        _prices(database, environment),
        *find_executors(database, environment),
        *wrong,
        *trio.run(examine_providers, environment, servers),
    ]


def has_wal_reset_bug(found: tuple[int, ...]) -> bool:
    """Whether this SQLite version has the WAL-reset bug, by which a checkpoint can lose a commit.

    The versions are 3.7.0 to 3.51.2, without those that have a backport of the fix.
    """
    if found >= (3, 51, 3) or found < (3, 7, 0):
        return False
    return not ((3, 50, 7) <= found < (3, 51, 0) or (3, 44, 6) <= found < (3, 45, 0))


def _sqlite() -> Finding:
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < (3, 37, 0):
        return Finding("bad", "sqlite", f"{found}: too old; orc needs SQLite 3.37 (STRICT tables)")
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        return Finding(
            "ok", "sqlite", f"{found}: has the WAL-reset bug, but orc's write lock prevents it"
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
                findings.append(Finding("bad", name, "not installed; install orc again"))
            else:
                hint = f"not installed (optional: {install_command(extra)})"
                findings.append(Finding("note", name, hint))
    return findings


def _ledger(database: Path) -> list[Finding]:
    if not os.path.lexists(database):
        return [Finding("note", "ledger", f"there is no ledger at {database} yet")]
    exposed = list(_exposed(database))
    try:
        connection = connect_reader(database)
    except LedgerError as error:
        return [Finding("bad", "ledger", str(error)), *exposed]
    try:
        jobs = connection.execute("SELECT count(*) FROM events WHERE version = 1").fetchone()[0]
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        lineage = lineage_of(connection)
    finally:
        connection.close()
    findings = [
        Finding("ok", "ledger", f"{database}: {count_text(jobs, 'job')}, journal mode {mode}")
    ]
    findings += [Finding("ok", "lineage", found.text) for found in lineage[-_SHOWN_LINEAGE_MAX:]]
    if os.stat(database).st_mode & 0o077:
        message = f"other users can read it; to prevent that: chmod 600 {database}"
        findings.append(Finding("note", "ledger", message))
    findings += exposed
    wal = database.with_name(database.name + "-wal")
    if wal.exists() and wal.stat().st_size > _WAL_WARN_BYTES:
        size = size_text(wal.stat().st_size)
        message = f"its -wal file has {size}: it grows while another program reads the ledger"
        findings.append(Finding("note", "ledger", message))
    findings += map(_leftover_process, find_leftovers(database))
    return [*findings, *_leftover_files(database)]


def _leftover_files(database: Path) -> list[Finding]:
    try:
        found = find_leftover_files(database)
    except (LedgerError, LookupError, ValueError, TypeError) as error:
        cause = str(error) if isinstance(error, LedgerError) else "its events were changed"
        message = (
            f"what killed commands left cannot be found: {cause}; run {quoted_command('verify')}"
        )
        return [Finding("note", "leftovers", message)]
    return _leftovers(found)


def _leftovers(found: list[LeftoverFile]) -> list[Finding]:
    findings = []
    for left in found[:_SHOWN_MAX]:
        details = {"path": str(left.path), "remedy": left.remedy}
        message = f"{left.path}: {left.what}; {left.remedy}"
        findings.append(Finding("note", "leftover", message, details))
    if len(found) > _SHOWN_MAX:
        more = count_text(len(found) - _SHOWN_MAX, "more leftover")
        findings.append(Finding("note", "leftover", f"{more}; remove these, then run it again"))
    return findings


def _exposed(database: Path) -> Iterator[Finding]:
    """What other users could change, or what is no plain file, at the ledger and its run folders."""
    try:
        found = list(examine_ledger(database, with_locks=True).faults)
        runs = database.parent / "runs"
        if runs.is_dir():
            found += examine_folder(runs).faults
    except OSError as error:
        yield Finding("bad", "trust", f"{database}: {error.strerror}")
        return
    for fault in dict.fromkeys(found):
        message = (
            f"{fault.path} {fault.what}, so that orc does not write to the ledger; {fault.remedy}"
        )
        yield Finding("note", "trust", message)


def _leftover_process(found: Leftover) -> Finding:
    return Finding(
        "note",
        "process",
        f"process {found.pid} ({found.command}) was started by {found.job_id}, which is not running "
        f"any more; `kill {found.pid}` ends it",
        {"pid": found.pid, "command": found.command, "job_id": found.job_id},
    )


def _prices(database: Path, environment: Mapping[str, str]) -> Finding:
    own = find_own_prices(database, environment)
    try:
        table = read_prices(own)
    except (UsageProblem, SpecError) as error:
        return Finding("bad", "prices", "; ".join(str(error).splitlines()))
    data = describe_published(dt.datetime.now(dt.UTC).date())
    message = f"{data.release}, whose newest price holds since {data.newest}"
    if own is not None:
        count = sum(len(prices) for prices in table.models.values())
        message += f"; {count_text(count, 'price')} of your own in {own}"
    details = {
        "date": None if data.newest is None else str(data.newest),
        "data": data.release,
        "file": None if own is None else str(own),
    }
    return Finding("ok", "prices", message, details)
