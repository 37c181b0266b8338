"""The metrics of model calls, from the events of a job as they are committed.

Names, units and buckets are those of the GenAI semantic conventions that `otel.py` names. Sending
them is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from orc.ledger import Recorded
from orc.ledger.events import LlmFailed, LlmRequested, LlmResponded
from orc.projections.exports.otel_calls import target_attributes
from orc.projections.exports.otlp import Value


class Histogram(Struct, frozen=True):
    """A histogram of the conventions."""

    name: str
    unit: str
    about: str
    buckets: tuple[float, ...]


DURATION = Histogram(
    "gen_ai.client.operation.duration",
    "s",
    "GenAI operation duration.",
    tuple(0.01 * 2**number for number in range(14)),
)
TOKENS = Histogram(
    "gen_ai.client.token.usage",
    "{token}",
    "Number of input and output tokens used.",
    tuple(4.0**number for number in range(14)),
)
HISTOGRAMS = (DURATION, TOKENS)


class MetricPoint(Struct, frozen=True):
    """A value for a histogram."""

    histogram: Histogram
    value: float
    attributes: dict[str, Value]


class CallMetrics(Struct):
    """Folds events to points. An open call is remembered until it ends, at most one for a step."""

    _asked: dict[str, LlmRequested] = field(default_factory=dict)

    def points(self, batch: Iterable[Recorded]) -> Iterator[MetricPoint]:
        """The points of the calls that ended."""
        for recorded in batch:
            event = recorded.event
            if isinstance(event, LlmRequested):
                self._asked[event.step] = event
            elif isinstance(event, LlmResponded | LlmFailed):
                asked = self._asked.pop(event.step, None)
                if asked is not None:
                    yield from _points(asked, event)


def _points(asked: LlmRequested, ended: LlmResponded | LlmFailed) -> Iterator[MetricPoint]:
    about: dict[str, Value] = {
        name: value for name, value in target_attributes(asked).items() if value is not None
    }
    if isinstance(ended, LlmResponded):
        about["gen_ai.response.model"] = ended.model
    took = about if isinstance(ended, LlmResponded) else {**about, "error.type": ended.kind}
    yield MetricPoint(DURATION, ended.duration_s, took)
    if ended.usage is not None:
        for kind, tokens in (
            ("input", ended.usage.input_tokens),
            ("output", ended.usage.output_tokens),
        ):
            if tokens is not None:
                yield MetricPoint(TOKENS, tokens, {**about, "gen_ai.token.type": kind})
