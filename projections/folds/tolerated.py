"""Failures in spite of which a job went on: which setting of the spec let it, how many, of which kind.

Every view that says how many failures were tolerated takes the words from here; `tolerance_fold.py`
finds them in the events. An attempt that is retried is no tolerated failure, since the next attempt
does the same work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from orc.ledger.wording import count_text, number_text

SETTINGS: dict[str, Callable[[int], str]] = {
    "continue_on_error": lambda n: f"{count_text(n, 'step')} failed, and the job continued",
    "on_exhausted": lambda n: (
        f"{count_text(n, 'loop')} ended after {'its' if n == 1 else 'their'} last round, "
        "with `until` still false"
    ),
    "fallback": lambda n: f"{count_text(n, 'switch', 'switches')} to another model",
    "tools": lambda n: f"{count_text(n, 'error')} of tools went back to the model",
    "repair": lambda n: f"{count_text(n, 'unusable reply', 'unusable replies')} asked for again",
}
"""The words for a number of failures, by the key of the spec that tolerates them, in order."""

_OF_MANY_KINDS = ("continue_on_error", "fallback")


class Tolerance(NamedTuple):
    """A tolerated failure of a step; in a result of another job, `failures` of them.

    `kind` is the kind of the failure (docs/events.md), or `circuit` for a model that was not asked,
    `tool` for an error of a tool, `until` for a condition that never held. `key` distinguishes it
    from the step's others; a request that is sent again has the same.
    """

    step: str
    setting: str
    kind: str
    message: str
    key: str
    failures: int = 1


class Tolerated:
    """How many failures were tolerated, by setting and kind."""

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tolerated) and self.counts == other.counts

    def add(self, setting: str, kind: str, count: int = 1) -> None:
        """Count failures of one kind that one setting tolerated."""
        self.counts[setting, kind] += count

    @property
    def total(self) -> int:
        """The number of all tolerated failures."""
        return self.counts.total()

    def summary(self) -> str:
        """`1 tolerated failure`, `28 tolerated failures`; empty if there are none."""
        return count_text(self.total, "tolerated failure") if self.total else ""

    def lines(self) -> Iterator[str]:
        """For each setting what happened, and the kinds of the failures with their numbers."""
        for setting, said in SETTINGS.items():
            kinds = self._kinds(setting)
            if not kinds:
                continue
            listed = ", ".join(f"{number_text(count)} {kind}" for kind, count in kinds.items())
            of_kinds = f": {listed}" if setting in _OF_MANY_KINDS else ""
            yield f"{said(sum(kinds.values()))} ({setting}){of_kinds}"

    def text(self) -> str:
        """The lines as one."""
        return "; ".join(self.lines())

    def value(self) -> dict[str, Any]:
        """As a JSON value: `total`, and the numbers by kind under each setting."""
        by_setting = {setting: self._kinds(setting) for setting in SETTINGS}
        return {
            "total": self.total,
            "by_setting": {setting: kinds for setting, kinds in by_setting.items() if kinds},
        }

    def _kinds(self, setting: str) -> dict[str, int]:
        """The numbers by kind, the largest first."""
        found = [(kind, count) for (of, kind), count in self.counts.items() if of == setting]
        return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))
