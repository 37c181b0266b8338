"""Limits on calls: circuits of targets, and the adaptive concurrency of providers.

A circuit belongs to a target (a model of a provider). It opens after a number of transient
failures in a row. When its cooldown is over, it lets one step through, the probe; the result of
the probe's call closes the circuit or opens it again. A provider's concurrency limit is halved
when it reports a rate limit, and grows by one per round of replies (additive increase,
multiplicative decrease). Limits per minute are left to `scheduler/rates.py`.

A server that is not ready, because it starts or loads its model, is waited for by a circuit of its
target too, if a step asks for that (`wait_for_server`): its attempts do not count.
"""

from __future__ import annotations

from collections.abc import Container

from orc.ledger.definition import TargetDef
from orc.ledger.events import (
    AnyEvent,
    CircuitClosed,
    CircuitOpened,
    LlmFailed,
    LlmResponded,
)
from orc.ledger.kinds import NOT_RUNNING, TRANSIENT
from orc.scheduler.core.fold.batches import BATCHED_MAX, BATCHES
from orc.scheduler.core.fold.state import AdaptiveRoom, Circuit, JobState

PROBE_WAIT_MAX_S = 10.0
"""The longest wait between two calls to a server that is not ready; the first one is a second."""
EXECUTOR_SLOTS = 1000
"""The limit of an executor that `concurrency` does not name. The engine queues what does not fit."""


def lets_through(state: JobState, target: str, now: float, *, probing: Container[str] = ()) -> bool:
    """Whether a step may call the target now; targets in `probing` already have a probe."""
    circuit = state.circuits.get(target)
    if circuit is None or circuit.retry_at is None:
        return True
    return circuit.retry_at <= now and circuit.probe is None and target not in probing


def set_route(state: JobState, step_id: str) -> None:
    """Set the step's route (the targets that it may call, in order), and so its lane."""
    definition = state.graph.steps[step_id]
    step = state.steps[step_id]
    if definition.provider is None:
        step.lane = ""
        return
    if state.provider_override is None:
        route = definition.targets()[step.fallback :]
    else:
        route = (TargetDef(provider=state.provider_override, model=definition.model or ""),)
    step.lane = " > ".join(target.name for target in route)
    state.routes[step.lane] = route


def pick_target(
    state: JobState, lane: str, now: float, *, probing: Container[str] = ()
) -> int | None:
    """The index in the lane's route of the first target that may be called; None if there is none."""
    for place, target in enumerate(state.routes[lane]):
        if lets_through(state, target.name, now, probing=probing):
            return place
        circuit = state.circuits.get(target.name)
        if circuit is not None and circuit.waits_since is not None:
            # The fallback is for a server that does not come.
            return None
    return None


def held_by_circuit(state: JobState, step_id: str, now: float) -> str | None:
    """The first target of the step, if only open circuits keep the step from starting; else None."""
    step = state.steps[step_id]
    is_due = step.retry_at is None or step.retry_at <= now
    if step.status not in NOT_RUNNING or step.needs_left or not is_due:
        return None
    lane = step.lane
    if not state.routes[lane] or pick_target(state, lane, now) is not None:
        return None
    return state.routes[lane][0].name


def room_of(state: JobState, provider: str) -> int:
    """How many more steps may call the provider, apart from the limit on all steps."""
    limits = state.definition.concurrency
    limit = limits.get(provider, limits["total"])
    adaptive = state.adaptive.get(provider)
    if adaptive is not None:
        limit = min(limit, int(adaptive.limit))
    return limit - state.running.get(provider, 0)


def room_at(state: JobState, executor: str) -> int:
    """How many more steps may be started at the executor, queued or placed, or for batches."""
    most = BATCHED_MAX if executor == BATCHES else EXECUTOR_SLOTS
    limit = state.definition.concurrency.get(executor, most)
    return limit - state.running.get(executor, 0)


def circuit_events(state: JobState, event: LlmResponded | LlmFailed, now: float) -> list[AnyEvent]:
    """The events of the target's circuit that the end of a call causes."""
    target = state.target_of(event.step)
    definition = state.definition.circuit
    # What becomes of a request in a batch says nothing about single calls.
    if target is None or event.batch is not None:
        return []
    circuit = state.circuits.get(target.name) or Circuit()
    is_open = circuit.retry_at is not None
    if is_open and circuit.probe != event.step:
        # The step started before the circuit opened, and is not the probe.
        return []
    if isinstance(event, LlmResponded) or event.kind not in TRANSIENT:
        return [CircuitClosed(target=target.name)] if is_open else []
    is_waiting = circuit.waits_since is not None
    is_awaited = awaits_server(state, event.step, event.not_ready, now)
    if is_awaited or (is_waiting and event.not_ready):
        return [_waiting(state, event, circuit, now, is_over=not is_awaited)]
    is_first = is_waiting or (circuit.is_limit and event.kind != "rate_limit")
    if is_first:
        # The server was not ready or had no room; now it fails in another way.
        circuit = Circuit(failures=0 if is_waiting else circuit.failures)
    found = _outage(state, event, circuit, now) if definition.threshold else []
    return found or ([CircuitClosed(target=target.name)] if is_first else [])


def awaits_server(state: JobState, step_id: str, not_ready: bool | None, now: float) -> bool:
    """Whether the step waits for its server, which is not ready, without using up an attempt."""
    target = state.target_of(step_id)
    if not not_ready or target is None:
        return False
    wait_s = state.definition.server_wait_of(state.graph.steps[step_id], target)
    circuit = state.circuits.get(target.name)
    since = None if circuit is None else circuit.waits_since
    return wait_s is not None and now < (now if since is None else since) + wait_s


def _waiting(
    state: JobState, event: LlmFailed, circuit: Circuit, now: float, *, is_over: bool
) -> CircuitOpened:
    """The circuit of a server that is waited for; if that `is_over`, its steps fail one by one."""
    target = state.target_of(event.step)
    assert target is not None
    since = now if circuit.waits_since is None else circuit.waits_since
    failures = circuit.failures + 1 if circuit.waits_since is not None else 1
    wait_s = state.definition.server_wait_of(state.graph.steps[event.step], target) or 0.0
    cooldown_s = max(
        min(2.0 ** min(failures - 1, 20), PROBE_WAIT_MAX_S), event.retry_after_s or 0.0
    )
    retry_at = now if is_over else min(now + cooldown_s, since + wait_s)
    return CircuitOpened(
        target=target.name,
        failures=failures,
        cooldown_s=round(retry_at - now, 6),
        retry_at=retry_at,
        kind=event.kind,
        message=event.message,
        waits_since=since,
    )


def _outage(state: JobState, event: LlmFailed, circuit: Circuit, now: float) -> list[AnyEvent]:
    """The opening of the circuit after a transient failure, if it is enough for that."""
    target = state.target_of(event.step)
    assert target is not None
    definition = state.definition.circuit
    is_open = circuit.retry_at is not None
    if not is_open and not waits_for_server(state, event.step, event.absent):
        return []
    failures = circuit.failures + 1
    if _says_when(event):
        # Nothing is sent until then.
        cooldown_s = event.retry_after_s or 0.0
    elif not is_open and failures < definition.threshold:
        return []
    elif event.kind == "rate_limit":
        # No outage either. The wait grows, because the server does not say how long it should be.
        doubled = 2.0 ** min(failures - definition.threshold, 20)
        cooldown_s = min(definition.cooldown_s, max(1.0, doubled))
    else:
        cooldown_s = max(definition.cooldown_s, event.retry_after_s or 0.0)
    return [
        CircuitOpened(
            target=target.name,
            failures=failures,
            cooldown_s=cooldown_s,
            retry_at=now + cooldown_s,
            kind=event.kind,
            message=event.message,
        )
    ]


def call_ended(state: JobState, event: LlmResponded | LlmFailed, version: int) -> None:
    """Fold the end of a call into the circuits and limits; `version` is the event's."""
    target = state.target_of(event.step)
    if target is None or event.batch is not None:
        return
    if isinstance(event, LlmResponded):
        state.answered.add(target.name)
    elif not waits_for_server(state, event.step, event.absent):
        return
    if _says_when(event):
        # No outage: the server works, and says when it has room again.
        pass
    elif isinstance(event, LlmFailed) and event.kind in TRANSIENT:
        circuit = state.circuits.setdefault(target.name, Circuit())
        if circuit.waits_since is None or not event.not_ready:
            circuit.failures = 1 if circuit.waits_since is not None else circuit.failures + 1
    elif target.name in state.circuits:
        state.circuits[target.name].failures = 0
    if isinstance(event, LlmFailed):
        if event.kind == "rate_limit":
            _halve(state, event.step, target.provider, version)
    elif target.provider in state.adaptive:
        # Above the configured limit it has no effect, but it keeps the version of the last halving.
        room = state.adaptive[target.provider]
        room.limit += 1 / room.limit


def _says_when(event: LlmResponded | LlmFailed) -> bool:
    """Whether a server with a rate limit says when it has room again."""
    if isinstance(event, LlmResponded):
        return False
    return event.kind == "rate_limit" and bool(event.retry_after_s)


def waits_for_server(state: JobState, step_id: str, is_absent: bool | None) -> bool:
    """Whether the server of a failed call may be back soon, so that a retry makes sense.

    Nobody has started a server on this machine that is absent. If it has answered before, or accepted
    a batch, it may be restarting.
    """
    target = state.target_of(step_id)
    if not is_absent or target is None or target.name in state.answered:
        return True
    return any(
        (batch.provider, batch.model) == (target.provider, target.model)
        for batch in state.batches.values()
        if batch.server_id is not None
    )


def circuit_opened(state: JobState, event: CircuitOpened) -> None:
    """Fold the event."""
    circuit = state.circuits.setdefault(event.target, Circuit())
    circuit.retry_at = event.retry_at
    circuit.probe = None
    circuit.waits_since = event.waits_since
    circuit.is_limit = event.kind == "rate_limit"
    if event.waits_since is not None:
        circuit.failures = event.failures


def circuit_closed(state: JobState, event: CircuitClosed) -> None:
    """Fold the event; the failures in a row, if its probe failed in another way, still count."""
    closed = state.circuits.pop(event.target, None)
    if closed is not None and closed.failures:
        state.circuits[event.target] = Circuit(failures=closed.failures)


def assign_probe(state: JobState, step_id: str) -> None:
    """Make a step that starts at an open circuit its probe."""
    target = state.target_of(step_id)
    circuit = None if target is None else state.circuits.get(target.name)
    if circuit is not None and circuit.retry_at is not None:
        circuit.probe = step_id


def release_probe(state: JobState, step_id: str) -> None:
    """Let another step be the probe, if this one was it and ended without a call."""
    target = state.target_of(step_id)
    circuit = None if target is None else state.circuits.get(target.name)
    if circuit is not None and circuit.probe == step_id:
        circuit.probe = None


def _halve(state: JobState, step_id: str, provider: str, version: int) -> None:
    room = state.adaptive.get(provider)
    if room is not None and state.steps[step_id].requested_version < room.halved_at:
        # The call was sent before the last halving, so it says nothing about the new limit.
        return
    in_flight = max(1, state.running.get(provider, 0))
    now = in_flight if room is None else min(room.limit, in_flight)
    state.adaptive[provider] = AdaptiveRoom(limit=max(1.0, now / 2), halved_at=version)
