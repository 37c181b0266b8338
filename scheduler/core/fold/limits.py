"""What holds calls back: circuits that have opened, and room that a busy server has taken away.

A circuit belongs to a target (a model at a server). It opens after failures in
a row that time may heal, lets one step through when its cooldown is over, and
closes or opens again by what becomes of that step's call. The room of a provider
halves when it says that it was asked too often, and grows again by one for each
round of answers (additive increase, multiplicative decrease).
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
from orc.scheduler.core.fold.state import AdaptiveRoom, Circuit, JobState


def lets_through(state: JobState, target: str, now: float, *, probing: Container[str] = ()) -> bool:
    """Whether a step may ask the target now; `probing` are targets that one has been let to."""
    circuit = state.circuits.get(target)
    if circuit is None or circuit.retry_at is None:
        return True
    return circuit.retry_at <= now and circuit.probe is None and target not in probing


def set_route(state: JobState, step_id: str) -> None:
    """Fold which targets the step may ask from now on, and with that the lane it waits in."""
    definition = state.graph.steps[step_id]
    step = state.steps[step_id]
    if state.provider_override is None or definition.provider is None:
        route = definition.targets()[step.fallback :]
    else:
        route = (TargetDef(provider=state.provider_override, model=definition.model or ""),)
    step.lane = " > ".join(target.name for target in route)
    state.routes[step.lane] = route


def pick_target(
    state: JobState, lane: str, now: float, *, probing: Container[str] = ()
) -> int | None:
    """The place in the lane's route of the first target that may be asked; none when none may."""
    for place, target in enumerate(state.routes[lane]):
        if lets_through(state, target.name, now, probing=probing):
            return place
    return None


def held_by_circuit(state: JobState, step_id: str, now: float) -> str | None:
    """The target whose circuit alone keeps the step from starting; none where that is not so."""
    step = state.steps[step_id]
    is_due = step.retry_at is None or step.retry_at <= now
    if step.status not in NOT_RUNNING or step.needs_left or not is_due:
        return None
    lane = step.lane
    if not state.routes[lane] or pick_target(state, lane, now) is not None:
        return None
    return state.routes[lane][0].name


def room_of(state: JobState, provider: str) -> int:
    """How many more steps may ask the provider, but for the limit on all steps."""
    limits = state.definition.concurrency
    limit = limits.get(provider, limits["total"])
    adaptive = state.adaptive.get(provider)
    if adaptive is not None:
        limit = min(limit, int(adaptive.limit))
    return limit - state.running.get(provider, 0)


def circuit_events(state: JobState, event: LlmResponded | LlmFailed, now: float) -> list[AnyEvent]:
    """What the end of a call does to its target's circuit."""
    target = state.target_of(event.step)
    definition = state.definition.circuit
    if target is None or not definition.threshold:
        return []
    circuit = state.circuits.get(target.name) or Circuit()
    is_open = circuit.retry_at is not None
    if is_open and circuit.probe != event.step:
        # Its step started before the circuit opened, and was not let through to try.
        return []
    if isinstance(event, LlmResponded) or event.kind not in TRANSIENT:
        return [CircuitClosed(target=target.name)] if is_open else []
    failures = circuit.failures + 1
    if not is_open and failures < definition.threshold:
        return []
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
    """Fold the end of a call into the circuits and the room; the event has the stream's `version`."""
    target = state.target_of(event.step)
    if target is None:
        return
    if isinstance(event, LlmFailed) and event.kind in TRANSIENT:
        state.circuits.setdefault(target.name, Circuit()).failures += 1
    elif target.name in state.circuits:
        state.circuits[target.name].failures = 0
    if isinstance(event, LlmFailed):
        if event.kind == "rate_limit":
            _halve(state, event.step, target.provider, version)
    elif target.provider in state.adaptive:
        # Past the configured limit it holds nothing back, and still knows when it was halved.
        room = state.adaptive[target.provider]
        room.limit += 1 / room.limit


def circuit_opened(state: JobState, event: CircuitOpened) -> None:
    """Fold the event."""
    circuit = state.circuits.setdefault(event.target, Circuit())
    circuit.retry_at = event.retry_at
    circuit.probe = None


def circuit_closed(state: JobState, event: CircuitClosed) -> None:
    """Fold the event."""
    state.circuits.pop(event.target, None)


def assign_probe(state: JobState, step_id: str) -> None:
    """A step that starts at an open circuit is the one that tries it."""
    target = state.target_of(step_id)
    circuit = None if target is None else state.circuits.get(target.name)
    if circuit is not None and circuit.retry_at is not None:
        circuit.probe = step_id


def release_probe(state: JobState, step_id: str) -> None:
    """A step that ends without a word on its circuit makes way for the next one to try."""
    target = state.target_of(step_id)
    circuit = None if target is None else state.circuits.get(target.name)
    if circuit is not None and circuit.probe == step_id:
        circuit.probe = None


def _halve(state: JobState, step_id: str, provider: str, version: int) -> None:
    room = state.adaptive.get(provider)
    if room is not None and state.steps[step_id].requested_version < room.halved_at:
        # It was sent before the last halving, and says nothing of the room since.
        return
    in_flight = max(1, state.running.get(provider, 0))
    now = in_flight if room is None else min(room.limit, in_flight)
    state.adaptive[provider] = AdaptiveRoom(limit=max(1.0, now / 2), halved_at=version)
