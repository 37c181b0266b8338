"""The errors of this package, with who has to act on each.

LedgerError
├── VersionConflict   the caller: read the stream again, or give up the job
├── OwnedElsewhere    the caller: another live process runs this job
├── NoSuchJob         the user: the name matches no job, or more than one
├── NoLedger          the user: there is no file at that path
├── NotALedger        the user: the file is not a ledger
├── UnclearPath       the user: a path has a variable, or an unknown home folder
├── LedgerTooNew      the user: a newer version of orc wrote it
├── ExposedFiles      the user: another user could change the ledger or a file beside it
├── LedgerBusy        the user: retry; another process kept the write lock too long
├── FileIsThere       the user: a new file would replace an existing one
├── NoFolder          the user: the folder of a new file does not exist
├── OtherHistory      the user: a job with this id exists and has different events
├── FileTooLarge      the user: a stored file is too large to be read as one value
├── RemovedBlob       the user: the bytes were pruned or redacted
├── SecretFound       orc's developers: a secret was not masked before it was stored
├── BadFailpoint      the tester: an entry of ORC_FAILPOINTS is not valid
├── StorageError      the user: the disk is full, failing or gone
└── CorruptLedger     the user: stored bytes changed; `orc verify` lists the damage

UnseenLog is a warning: the user may see fewer events than the ledger has.
"""

from __future__ import annotations

from typing import ClassVar

from orc.ledger import exit_codes


class LedgerError(Exception):
    """Base of this package's errors.

    Each subclass sets the exit code of a command that ends with the error, and `advice`: what to do,
    for messages that do not say it themselves.
    """

    exit_code: ClassVar[int]
    advice: ClassVar[str] = ""


class VersionConflict(LedgerError):
    """Another process appended to the stream after it was read."""

    exit_code = exit_codes.OWNED
    advice = "give the same command again"


class OwnedElsewhere(LedgerError):
    """Another live process owns the job."""

    exit_code = exit_codes.OWNED
    advice = "wait until it has ended"

    def __init__(self, job_id: str, owner: str) -> None:
        super().__init__(f"{job_id} is being run by {owner}")
        self.job_id = job_id
        self.owner = owner


class NoSuchJob(LedgerError):
    """The name matches no job, or more than one."""

    exit_code = exit_codes.NO_JOB
    advice = "name another job"


class NoLedger(LedgerError):
    """There is no ledger file at the path."""

    exit_code = exit_codes.NO_JOB
    advice = "name another file"


class NotALedger(LedgerError):
    """The path exists and is not a ledger of orc."""

    exit_code = exit_codes.USAGE
    advice = "name another file"


class UnclearPath(LedgerError, ValueError):
    """A path as a person wrote it has a variable, or a home folder that is not known."""

    exit_code = exit_codes.USAGE


class LedgerTooNew(LedgerError):
    """A newer version of orc wrote the file or an event in it."""

    exit_code = exit_codes.USAGE


class ExposedFiles(LedgerError):
    """Another user could change the ledger, a file beside it, or a folder on the way to it.

    `is_trustable` is false if a path is no plain file or folder, so that no trust helps.
    """

    exit_code = exit_codes.USAGE

    def __init__(self, message: str, *, is_trustable: bool = True) -> None:
        super().__init__(message)
        self.is_trustable = is_trustable


class LedgerBusy(LedgerError):
    """Another process kept the write lock longer than the time limit."""

    exit_code = exit_codes.STORAGE


class FileIsThere(LedgerError):
    """The path of a new file already exists."""

    exit_code = exit_codes.USAGE


class NoFolder(LedgerError):
    """The folder of a new file does not exist."""

    exit_code = exit_codes.USAGE


class OtherHistory(LedgerError):
    """The ledger has a job with the same id and different events."""

    exit_code = exit_codes.VERIFICATION


class FileTooLarge(LedgerError):
    """A stored file is larger than a value may be; it can only be read in parts."""

    exit_code = exit_codes.USAGE


REMOVED = "the bytes of blob "
"""What the message about removed bytes begins with, after the path of the ledger."""


class RemovedBlob(LedgerError):
    """The bytes of a blob were removed from the ledger by `orc prune` or `orc redact`."""

    exit_code = exit_codes.USAGE

    def __init__(self, message: str, digest: str) -> None:
        super().__init__(message)
        self.digest = digest


class SecretFound(LedgerError):
    """An event or a blob contains the value of a secret; it was not stored."""

    exit_code = exit_codes.ENVIRONMENT


class BadFailpoint(LedgerError):
    """An entry of `ORC_FAILPOINTS` is not valid."""

    exit_code = exit_codes.USAGE


class StorageError(LedgerError):
    """The disk is full, failing or read-only, or the file was deleted or replaced."""

    exit_code = exit_codes.STORAGE
    advice = (
        "free some space, or check the disk and the permissions, and give the same command again"
    )


class CorruptLedger(LedgerError):
    """Stored bytes are damaged or contradict each other."""

    exit_code = exit_codes.VERIFICATION
    advice = "go on with an intact copy, such as a backup or a new bundle"


def describe_unreadable(error: LedgerError) -> str:
    """Why bytes cannot be shown; for removed blobs, without the path of the ledger."""
    message = str(error)
    # The path may have a colon, too.
    return message[max(0, message.find(REMOVED)) :] if isinstance(error, RemovedBlob) else message


class UnseenLog(UserWarning):
    """The ledger is read by a name that is not the one beside which its log may be."""
