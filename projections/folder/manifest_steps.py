"""The steps of a manifest, as its JSON shows them."""

from __future__ import annotations

from functools import lru_cache

from msgspec import UNSET, Raw, Struct, UnsetType, field

from orc.ledger.step_names import are_outer, container_of
from orc.ledger.stored_struct import NO_ENTRIES
from orc.projections.folds.doubts import Doubts

_NO_TIME = Raw(b"0.0")


class ShownStep(Struct):
    """What the manifest shows of a step, in order. Texts of JSON have numbers in Python's form."""

    status: str = "pending"
    attempts: int = 0
    duration_s: Raw = _NO_TIME
    provider_calls: int = 0
    usage: dict[str, int] = NO_ENTRIES
    reused_from: dict[str, str] | UnsetType = UNSET
    placed: dict[str, str] | UnsetType = UNSET
    in_doubt: Raw | UnsetType = UNSET


class ManifestStep(Struct):
    """A step, with what its later events depend on."""

    shown: ShownStep = field(default_factory=ShownStep)
    duration_s: float = 0.0
    failure: dict[str, str] | None = None
    tolerated: bool = False
    has_expanded: bool = False
    doubts: Doubts | None = None

    def add_time(self, duration_s: float | None) -> None:
        """Add the time of an attempt."""
        if duration_s:
            self.duration_s += duration_s
            self.shown.duration_s = _seconds(self.duration_s)


@lru_cache(maxsize=1000)
def _seconds(duration_s: float) -> Raw:
    """The text of a duration. Values take few different numbers of microseconds."""
    return Raw(repr(round(duration_s, 6)).encode())


class ManifestSteps(dict[str, ManifestStep]):
    """The steps by id. If the spec's bytes were removed, an event that names a step adds the step."""

    def __missing__(self, step_id: str) -> ManifestStep:
        self[step_id] = ManifestStep()
        return self[step_id]

    def by_level(self) -> dict[str, ManifestStep]:
        """The steps of the spec, then the children of each in their order, and so on.

        Steps expand in the order in which they happen to begin; this order is always the same.
        """
        if are_outer(self):
            return self
        inside: dict[str | None, list[str]] = {}
        for name in self:
            parent = container_of(name)
            inside.setdefault(parent if parent in self else None, []).append(name)
        names = inside.get(None, [])
        for name in names:
            # Grows while it is read: each container adds its children behind it.
            names.extend(inside.get(name, ()))
        return {name: self[name] for name in names}
