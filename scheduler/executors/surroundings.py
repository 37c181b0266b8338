"""The environment of work that this machine performs."""

from __future__ import annotations

import os
from collections.abc import Mapping

from orc.ledger import failpoints
from orc.scheduler.executors.contract import INHERITED, Place, Work

_KEPT_BACK = (failpoints.VARIABLE,)
"""Variables that control this process. An orc that a command starts must not inherit them."""


def local_environment(
    work: Work,
    places: Mapping[Place, str],
    secrets: Mapping[str, str],
    caller: Mapping[str, str],
) -> dict[str, str]:
    """All variables of work that this machine performs. Only few of the caller's are in it."""
    env = {name: value for name, value in caller.items() if name in work.inherited or _is_own(name)}
    env.setdefault("PATH", os.defpath)
    if work.resources:
        # Imported here, since few steps ask for anything.
        from orc.worker.surroundings import room_variables

        env.update(room_variables(work.resources))
    env.update(work.env)
    env.update(secrets)
    for name, place in work.places.items():
        env[name] = places[place]
    return env


def passed_on(caller: Mapping[str, str]) -> dict[str, str]:
    """Those few variables of the caller that work can see: a copy that is quick to read."""
    return {name: value for name, value in caller.items() if name in INHERITED or _is_own(name)}


def _is_own(name: str) -> bool:
    return name.startswith("ORC_") and name not in _KEPT_BACK
