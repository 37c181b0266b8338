"""Outcomes that a driver has read to announce an end, and will be asked for again in a moment.

The outcome of a copy that has ended never changes, so a second call to its worker gives nothing new.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

from orc.scheduler.drivers.lines import Message
from orc.worker.outcomes import OUTCOME_BYTES_MAX

OUTCOMES_MAX = 1000


class RecentOutcomes:
    """The small ones of the last outcomes; at most `OUTCOMES_MAX` of `OUTCOME_BYTES_MAX` each."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], Any] = OrderedDict()

    def keep(self, ended: Message) -> None:
        """Keep the outcome of a copy, unless it is large."""
        if len(json.dumps(ended["outcome"])) > OUTCOME_BYTES_MAX:
            return
        self._kept[_copy_of(ended)] = ended["outcome"]
        while len(self._kept) > OUTCOMES_MAX:
            self._kept.popitem(last=False)

    def take(self, request: Message) -> Any:
        """The outcome of a copy, which is kept no longer; None if it is not here."""
        return self._kept.pop(_copy_of(request), None)


def _copy_of(message: Message) -> tuple[str, str, str]:
    return str(message["ticket"]), str(message["run"]), str(message["worker"])
