"""`orc bundle` and `orc import`: checks the request and the bundle, then writes or imports the job."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.secrets import keys_mask, mask_of_jobs
from orc.cli.jobs.state import load_state
from orc.ledger import Ledger, LedgerReader, OwnerLock, has_owner, open_ledger
from orc.ledger.errors import CorruptLedger, LedgerError, RemovedBlob, StorageError
from orc.ledger.files.descriptors import is_descriptor
from orc.ledger.files.private_folder import COPY, PrivateFolder
from orc.ledger.reader import Head
from orc.ledger.transport.bundle import import_job, new_tables, project, write_bundle
from orc.ledger.transport.imported import imported
from orc.ledger.transport.untrusted import open_bundle
from orc.projections import ReadModel
from orc.projections.folder.run_folder import expected_files
from orc.projections.money.prices import PriceTable
from orc.scheduler.clock import Clock


class Imported(Struct, frozen=True):
    """The result of an import: the version of the job's stream before and after.

    `before` is 0 if the job was not in the ledger.
    """

    job_id: str
    before: int
    after: int
    is_trusted: bool


def bundle_job(
    ledger: LedgerReader, job_id: str, target: Path, *, prices: PriceTable, force: bool
) -> Head:
    """Write the job to a file; the head of its stream.

    A running job is refused, since its copy would continue from an earlier event. Raises
    OwnedElsewhere, CorruptLedger, FileIsThere, StorageError, UsageProblem.
    """
    if target.exists() and target.samefile(ledger.path):
        raise UsageProblem(f"{target} is the ledger itself; name another file")
    if has_owner(ledger.path, job_id):
        # `acquire` fails with a message that names the owner.
        lock = OwnerLock(ledger.path, job_id)
        lock.acquire(wait_s=0)
        lock.release()
    return write_bundle(ledger, job_id, target, projector=ReadModel(prices), force=force)


def import_bundle(
    source: Path, database: Path, *, prices: PriceTable, is_trusted: bool
) -> Imported:
    """Check the whole file and import its job; a missing ledger is created.

    A bundle from a pipe (`/dev/stdin`, `<(...)`) is copied first, since it is read more than once.
    Raises LedgerError, UsageProblem.
    """
    if is_descriptor(source) and not source.is_file():
        return _import_stream(source, database, prices=prices, is_trusted=is_trusted)
    if source.exists() and database.exists() and source.samefile(database):
        raise UsageProblem(f"{source} is the ledger itself; name a file that orc bundle wrote")
    return _import_file(source, source, database, prices=prices, is_trusted=is_trusted)


def _import_stream(
    source: Path, database: Path, *, prices: PriceTable, is_trusted: bool
) -> Imported:
    try:
        private = PrivateFolder(COPY)
        try:
            file = private.path / "bundle"
            with source.open("rb") as stream, file.open("xb") as copy:
                shutil.copyfileobj(stream, copy)
            return _import_file(file, source, database, prices=prices, is_trusted=is_trusted)
        except LedgerError as error:
            # The caller knows the source, not the copy.
            error.args = (str(error).replace(str(file), str(source)),)
            raise
        finally:
            private.cleanup()
    except OSError as error:
        raise StorageError(f"{source}: {error.strerror or error}") from error


def _import_file(
    file: Path, source: Path, database: Path, *, prices: PriceTable, is_trusted: bool
) -> Imported:
    """Import the job of the bundle `file`, which came from `source`."""
    with open_bundle(file) as (bundle, job_id):
        _examine(bundle, job_id, prices)
        # The path of the bundle is stored, and it may contain a secret.
        mask = keys_mask(os.environ).joined(mask_of_jobs(bundle, [job_id], os.environ))
        with open_ledger(database, projector=ReadModel(prices), mask=mask) as ledger:
            return _import(ledger, bundle, job_id, source, is_trusted=is_trusted)


def _import(
    ledger: Ledger, bundle: LedgerReader, job_id: str, source: Path, *, is_trusted: bool
) -> Imported:
    before, after = import_job(
        ledger,
        bundle,
        job_id,
        source=str(source),
        at=Clock().recorded_at(),
        is_trusted=is_trusted,
    )
    note = imported(ledger.connection, job_id)
    return Imported(job_id, before, after, note is None or bool(note["trusted"]))


def _examine(bundle: LedgerReader, job_id: str, prices: PriceTable) -> None:
    """Run every fold that this ledger will run on the events: state, tables, files.

    Raises CorruptLedger if a fold fails, or if a file's path leads out of the run folder.
    """
    connection, model = bundle.connection, ReadModel(prices)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")
        new_tables(connection, model)
        project(bundle, connection, model, job_id)
        connection.execute("COMMIT")
        with suppress(RemovedBlob):
            load_state(bundle, job_id)
        expected = expected_files(bundle, job_id, prices=prices)
        former = (found.path for found in expected.superseded)
        for path in (*expected.files, *expected.lost, *former):
            if any(part in ("", ".", "..") or "\0" in part for part in path.split("/")):
                raise CorruptLedger(
                    f"{bundle.path}: an event names the file {path!a}, which is not inside the job's "
                    "folder; the bundle was changed, or its author is not to be trusted"
                )
    except LedgerError:
        raise
    # Every error is expected here: the events come from outside, and the folds do not check
    # events.
    except Exception as error:
        raise CorruptLedger(
            f"{bundle.path}: the events are not those of a job ({type(error).__name__}: {error}); "
            "ask for a new bundle"
        ) from error
