"""Acts as the output of a fake local model; it has no server that could fail or stall."""

from __future__ import annotations

from typing import assert_never

from orc.providers import Provider
from orc.providers.mlx import Mlx
from tests.fault_server import FaultServer
from tests.providers.acts import (
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
from tests.providers.mlx_script import FakeModel, FakeStore, Script, write_call


def stand(_server: FaultServer, acts: tuple[Act, ...]) -> Provider:
    """An Mlx whose model writes the acts."""
    listed = tuple(name for act in acts if isinstance(act, Lists) for name in act.models)
    scripts = tuple(_script(act) for act in acts if not isinstance(act, Lists))
    return Mlx(FakeStore(FakeModel(scripts), listed))


def _script(act: Act) -> Script:
    match act:
        case Says(pieces, usage):
            return Script(pieces, usage=usage)
        case Calls(calls, pieces, usage):
            return Script((*pieces, *map(write_call, calls)), usage=usage)
        case IsCut():
            return Script(("Beca", "use"), finish_reason="length")
        case Fails() | Refuses() | Stalls() | Stops() | Lists() | Dawdles() | Trickles():
            # How it counts silence is tested in `test_mlx.py`, with a clock of its own.
            lacks("server")
    assert_never(act)
