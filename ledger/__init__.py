"""The append-only event log in one SQLite file, with its locks, hash chains and blobs.

Names load at first use: a command such as `orc list` only reads tables and does not need
pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orc.ledger.connection import connect_reader as connect_reader
    from orc.ledger.errors import LedgerError as LedgerError
    from orc.ledger.events import JobId as JobId
    from orc.ledger.events import Payload as Payload
    from orc.ledger.events import Recorded as Recorded
    from orc.ledger.events import StepId as StepId
    from orc.ledger.files.locks import OwnerLock as OwnerLock
    from orc.ledger.files.locks import has_owner as has_owner
    from orc.ledger.files.locks import refuse_owner as refuse_owner
    from orc.ledger.names import find_job as find_job
    from orc.ledger.packing import pack as pack
    from orc.ledger.packing import pack_bytes as pack_bytes
    from orc.ledger.reader import Head as Head
    from orc.ledger.reader import LedgerReader as LedgerReader
    from orc.ledger.reader import Signal as Signal
    from orc.ledger.store import Ledger as Ledger
    from orc.ledger.store import Projector as Projector
    from orc.ledger.store import open_ledger as open_ledger

_HOMES = {
    "Head": "reader",
    "JobId": "events",
    "Ledger": "store",
    "LedgerError": "errors",
    "LedgerReader": "reader",
    "OwnerLock": "files.locks",
    "Payload": "events",
    "Projector": "store",
    "Recorded": "events",
    "Signal": "reader",
    "StepId": "events",
    "connect_reader": "connection",
    "find_job": "names",
    "has_owner": "files.locks",
    "open_ledger": "store",
    "pack": "packing",
    "pack_bytes": "packing",
    "refuse_owner": "files.locks",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
