"""What can go wrong with a ledger, named by who acts next.

LedgerError
├── VersionConflict   the caller: read the stream again, or give up the job
├── OwnedElsewhere    the caller: another live process runs this job
├── NoSuchJob         the person: no job, or more than one, goes by that name
├── NoLedger          the person: there is no file at that path
├── NotALedger        the person: the file is something else
├── LedgerTooNew      the person: a newer orc wrote it
├── LedgerBusy        time: another process kept the write lock too long
├── FileIsThere       the person: a new file would replace another one
├── NoFolder          the person: a new file's folder is not there
├── OtherHistory      the person: a job of that id is there, and had other events
├── RemovedBlob       the person: bytes were pruned or redacted; nobody has them
├── SecretFound       nobody: a secret was about to be stored, which a bug let through
├── BadFailpoint      the tester: ORC_FAILPOINTS says what cannot be meant
├── StorageError      the machine: disk full, failing or taken away
└── CorruptLedger     nobody: bytes changed; `orc verify` says which
"""

from __future__ import annotations

from typing import ClassVar

from orc.ledger import exit_codes


class LedgerError(Exception):
    """Base of everything that this package raises on purpose.

    Each class below it names the exit code of a command that ends with it.
    """

    exit_code: ClassVar[int]


class VersionConflict(LedgerError):
    """The stream has grown since it was read: someone else appended to it."""

    exit_code = exit_codes.OWNED


class OwnedElsewhere(LedgerError):
    """Another live process owns the job."""

    exit_code = exit_codes.OWNED

    def __init__(self, job_id: str, owner: str) -> None:
        super().__init__(f"{job_id} is being run by {owner}")
        self.job_id = job_id
        self.owner = owner


class NoSuchJob(LedgerError):
    """No job, or more than one, answers to the name."""

    exit_code = exit_codes.NO_JOB


class NoLedger(LedgerError):
    """There is no ledger file at the path."""

    exit_code = exit_codes.NO_JOB


class NotALedger(LedgerError):
    """The file exists and is not a ledger of orc."""

    exit_code = exit_codes.USAGE


class LedgerTooNew(LedgerError):
    """The file, or an event in it, was written by a newer orc."""

    exit_code = exit_codes.USAGE


class LedgerBusy(LedgerError):
    """The write lock was not to be had in time."""

    exit_code = exit_codes.STORAGE


class FileIsThere(LedgerError):
    """A file is to be written, and its name is taken."""

    exit_code = exit_codes.USAGE


class NoFolder(LedgerError):
    """The folder of a file that is to be written does not exist."""

    exit_code = exit_codes.USAGE


class OtherHistory(LedgerError):
    """The ledger has a job of the same id, whose events are not those of the other one."""

    exit_code = exit_codes.VERIFICATION


class RemovedBlob(LedgerError):
    """The bytes of a blob were removed from the ledger, and an event says so."""

    exit_code = exit_codes.USAGE

    def __init__(self, message: str, digest: str) -> None:
        super().__init__(message)
        self.digest = digest


class SecretFound(LedgerError):
    """What is to be stored has the value of a secret in it."""

    exit_code = exit_codes.ENVIRONMENT


class BadFailpoint(LedgerError):
    """An entry of `ORC_FAILPOINTS` cannot be meant."""

    exit_code = exit_codes.USAGE


class StorageError(LedgerError):
    """The disk is full, failing, read-only, or the file was replaced."""

    exit_code = exit_codes.STORAGE


class CorruptLedger(LedgerError):
    """The stored bytes contradict each other."""

    exit_code = exit_codes.VERIFICATION


def why_lost(error: LedgerError) -> str:
    """Why bytes cannot be shown; of removed ones without the path of the ledger."""
    if isinstance(error, RemovedBlob):
        return str(error).partition(": ")[2]
    return str(error)
