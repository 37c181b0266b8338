"""What runs on a worker of a cluster: it needs the standard library only, and nothing else of orc.

The part of an engine (a driver, and the task that it submits) uses the functions here. All names
that both sides speak of are in `scheduler/executors/contract.py`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

# Type checkers treat this name as true. A short command of orc must not load the agent.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orc.worker.agent import Agent

__all__ = ["control", "control_at_once", "perform", "set_alive"]

_lock = threading.Lock()
_agents: list[Agent] = []


def perform(
    payload: bytes,
    *,
    emit: Callable[[dict[str, Any]], None],
    worker: str,
    host: str,
    task: str = "",
) -> None:
    """Perform one copy of an attempt; return when it has ended or was refused.

    `payload` is JSON: `protocol`, `ticket`, `run`, `work` (the fields of `Work`), `contents` (small
    inputs as base64 by SHA-256), `keep_s`, `lease_s`, `shared` (the path of a folder that the
    coordinator shares with this machine, or None). `emit` receives events as JSON values, in any
    thread; `content` and the bytes of an outcome are base64:

        asked    host, protocol, missing (digests that `put` must bring); every few seconds. With
                 `problem`, the copy cannot be performed here, and does not wait.
        printed  offset, content; at most ten a second, and pieces may be missing
        ended    outcome, as JSON of `WorkOutcome` with `lost` and `cancelled`; None if it is large:
                 then ask for it

    Each has `event`, `ticket`, `run` and `worker`. A copy whose ticket and run this process knows
    already never starts again. Raises ValueError for a payload without a ticket and a run, and for
    settings of this worker that are not valid. `task` is the engine's name of the task, for a census.
    """
    _agent().perform(payload, emit=emit, worker=worker, host=host, task=task)


def control(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a request of the coordinator, without waiting for a command.

    `op` names the operation; most have `ticket` and `run`, and may have `epoch` and `protocol`:

        allow      epoch, secrets -> state        put   sha256, offset, size, data -> complete,
        refuse     -> state                             received
        cancel     grace_s -> state               read  place, path, offset, length -> data
        outcome    -> state, outcome              heartbeat  job_id, epoch -> host, pid, boot
        forget     -> known                       clean -> removed
        census     job_id -> copies, host, pid, boot

    `put` takes pieces of at most 16 MiB in order; `read` gives at most as much. A running command
    whose coordinator has sent heartbeats, and then nothing for `keep_s`, is ended. An `epoch` lower
    than the highest one that the agent has seen for the job is refused.

    The answer has `ok` and `protocol`. If `ok` is false, `error` is a code and `message` a sentence:
    `unknown`, `superseded`, `protocol`, `request`, `secrets`, `missing` (with `missing`), `digest`,
    `offset` (with `received`), `path`, `environment`, or the state of the copy.
    """
    from orc.worker.wire import PROTOCOL

    try:
        agent = _agent()
    except (ValueError, OSError) as error:
        return {"ok": False, "protocol": PROTOCOL, "error": "environment", "message": str(error)}
    return agent.control(request)


def control_at_once(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same as `control` for a request that needs no disk; None for another one."""
    agent = _agents[0] if _agents else None
    if agent is None or agent.pid != os.getpid():
        return None
    return agent.control_at_once(request)


def set_alive(is_alive: Callable[[], bool]) -> None:
    """Set the function that tells whether this worker is still part of the cluster.

    The agent calls it several times in each lease, in a thread of its own. As long as it returns
    false, raises or does not return, no lease is renewed.
    """
    _agent().leases.set_alive(is_alive)


def _agent() -> Agent:
    """The agent of this process."""
    from orc.worker.agent import Agent

    with _lock:
        if not _agents or _agents[0].pid != os.getpid():
            # A forked process has no threads of the agent, and must not touch its spools.
            _agents[:] = [Agent(os.environ)]
        return _agents[0]
