"""The append-only event table in one SQLite file, and what keeps it whole.

Names load at first use: `orc list` reads tables and has no need of pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.connection import connect_reader as connect_reader
    from ledger.errors import LedgerError as LedgerError
    from ledger.events import JobId as JobId
    from ledger.events import Payload as Payload
    from ledger.events import Recorded as Recorded
    from ledger.events import StepId as StepId
    from ledger.locks import OwnerLock as OwnerLock
    from ledger.locks import has_owner as has_owner
    from ledger.names import find_job as find_job
    from ledger.packing import pack as pack
    from ledger.packing import pack_bytes as pack_bytes
    from ledger.reader import Head as Head
    from ledger.reader import LedgerReader as LedgerReader
    from ledger.reader import Signal as Signal
    from ledger.store import Ledger as Ledger
    from ledger.store import Projector as Projector
    from ledger.store import open_ledger as open_ledger

_HOMES = {
    "Head": "reader",
    "JobId": "events",
    "Ledger": "store",
    "LedgerError": "errors",
    "LedgerReader": "reader",
    "OwnerLock": "locks",
    "Payload": "events",
    "Projector": "store",
    "Recorded": "events",
    "Signal": "reader",
    "StepId": "events",
    "connect_reader": "connection",
    "find_job": "names",
    "has_owner": "locks",
    "open_ledger": "store",
    "pack": "packing",
    "pack_bytes": "packing",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
