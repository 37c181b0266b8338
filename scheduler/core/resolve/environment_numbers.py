"""The numbers that the environment gives in place of keys of a spec, within the bounds of these keys."""

from __future__ import annotations

from collections.abc import Mapping

from orc.scheduler.core.spec.flow import ATTEMPTS_MAX

_NUMBER_MAX = 1e9
_BOUNDS = {
    "MAX_RETRIES": (0.0, ATTEMPTS_MAX),
    "TOP_P": (0.0, 1.0),
    "MAX_TOKENS": (1.0, _NUMBER_MAX),
}
_SHOWN_CHARS = 40


def environment_number(environment: Mapping[str, str], name: str) -> float | None:
    """The number in a variable; None if it is not set, or empty. Raises ValueError for anything else."""
    text = environment.get(name)
    if not text:
        return None
    least, most = _BOUNDS.get(name, (0.0, _NUMBER_MAX))
    try:
        value = float(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        bounds = f"of at least {least:g}" if most == _NUMBER_MAX else f"from {least:g} to {most:g}"
        shown = repr(text[:_SHOWN_CHARS])
        raise ValueError(f"the environment variable {name} must be a number {bounds}; got {shown}")
    return value
