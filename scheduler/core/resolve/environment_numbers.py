"""The numbers that the environment gives in place of keys of a spec, and their bounds."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from orc.ledger.wording import number_text
from orc.scheduler.core.spec.flow import ATTEMPTS_MAX
from orc.scheduler.core.typed_numbers import read_number

_SHOWN_CHARS = 40


class _Bounds(Struct, frozen=True):
    least: float = 0.0
    most: float = 1e9
    is_whole: bool = False
    above_least: bool = False

    def has(self, value: float) -> bool:
        is_enough = value > self.least if self.above_least else value >= self.least
        return is_enough and value <= self.most and (not self.is_whole or value.is_integer())

    def __str__(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        first = f"above {self.least:g} and up to" if self.above_least else f"from {self.least:g} to"
        return f"{kind} {first} {number_text(int(self.most))}"


_BOUNDS = {
    # 0 and 1 both mean a single attempt.
    "MAX_RETRIES": _Bounds(most=ATTEMPTS_MAX, is_whole=True),
    "MAX_TOKENS": _Bounds(1, is_whole=True),
    "CB_THRESHOLD": _Bounds(is_whole=True),
    "TOP_P": _Bounds(most=1, above_least=True),
    "JITTER": _Bounds(most=1),
}
_OTHERS = _Bounds()


def environment_number(environment: Mapping[str, str], name: str) -> float | None:
    """The number in a variable; None if it is not set, or empty. Raises ValueError for anything else."""
    text = environment.get(name)
    if not text:
        return None
    bounds = _BOUNDS.get(name, _OTHERS)
    try:
        value = read_number(text)
    except ValueError:
        value = -1.0
    if not bounds.has(value):
        shown = repr(text[:_SHOWN_CHARS])
        raise ValueError(f"the environment variable {name} must be {bounds}; got {shown}")
    return value
