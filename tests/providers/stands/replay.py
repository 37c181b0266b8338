"""Acts as recorded replies."""

from __future__ import annotations

from typing import assert_never

from orc.ledger.digest import digest_json
from orc.providers import Provider, Usage
from orc.providers.replay import RecordedReplies, RecordedReply, Replay
from tests.fault_server import FaultServer
from tests.providers.acts import (
    STALL_S,
    Act,
    Calls,
    Dawdles,
    Fails,
    IsCut,
    Lists,
    Refuses,
    Says,
    Stalls,
    Stops,
    Trickles,
    lacks,
)


def stand(_server: FaultServer, acts: tuple[Act, ...]) -> Provider:
    """A Replay whose recorded replies are the acts."""
    return Replay(RecordedReplies({"write": tuple(map(_record, acts))}), digest=digest_json)


def _record(act: Act) -> RecordedReply:
    match act:
        case Says(pieces, usage):
            return RecordedReply("".join(pieces), usage=usage)
        case Fails(kind):
            return RecordedReply("", error={"kind": kind})
        case Stalls():
            return RecordedReply("Because.", latency_s=STALL_S)
        case Calls(calls, pieces, usage):
            return RecordedReply("".join(pieces), usage=usage, tool_calls=calls)
        case Refuses():
            return RecordedReply("", usage=Usage(7, 1), error={"kind": "refused"})
        case IsCut():
            return RecordedReply("Because", finish_reason="length")
        case Dawdles(pieces, wait_s):
            return RecordedReply("".join(pieces), latency_s=wait_s * len(pieces))
        case Trickles():
            lacks("server")
        case Stops() | Lists():
            raise AssertionError("a recorded reply is always whole, and a recording has no models")
    assert_never(act)
