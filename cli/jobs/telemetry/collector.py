"""The collector, through the official SDK: converts spans and points, and sends them.

The SDK is imported here only, and in the thread of `sender.py`.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from orc.cli.jobs.telemetry.wanted import Wanted
from orc.projections.exports.otel import SCHEMA_URL
from orc.projections.exports.otel_metrics import HISTOGRAMS, MetricPoint
from orc.projections.exports.otlp import CLIENT, OtlpSpan
from orc.projections.exports.source import unix_ns

REQUEST_S = 2.0
"""How long one request may take."""
PROBE_S = 0.5
SPANS_MAX = 200
"""The most spans in one request."""
_METRICS_MS = 10_000


class Collector:
    """Sends to the endpoints of `wanted`. All its methods wait for the network."""

    def __init__(self, wanted: Wanted, *, orc_version: str, service: str | None) -> None:
        # The SDK logs what goes wrong; orc says it in one line.
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        attributes: dict[str, Any] = {"service.version": orc_version}
        if not service:
            attributes["service.name"] = "orc"
        self._resource = Resource.create(attributes, SCHEMA_URL)
        self._scope = InstrumentationScope("orc", orc_version, SCHEMA_URL)
        self._wanted = wanted
        self._spans: OTLPSpanExporter | None = None
        self._meters: MeterProvider | None = None
        self._histograms: dict[str, Any] = {}
        if wanted.traces is not None:
            self._spans = OTLPSpanExporter(endpoint=wanted.traces, timeout=REQUEST_S)
        if wanted.metrics is not None:
            exporter = OTLPMetricExporter(endpoint=wanted.metrics, timeout=REQUEST_S)
            reader = PeriodicExportingMetricReader(exporter, export_interval_millis=_METRICS_MS)
            self._meters = MeterProvider([reader], self._resource, shutdown_on_exit=False)
            meter = self._meters.get_meter("orc", orc_version, SCHEMA_URL)
            self._histograms = {
                one.name: meter.create_histogram(
                    one.name,
                    unit=one.unit,
                    description=one.about,
                    explicit_bucket_boundaries_advisory=list(one.buckets),
                )
                for one in HISTOGRAMS
            }

    def is_there(self) -> bool:
        """Whether something listens where the telemetry goes. A dead collector answers at once."""
        for endpoint in filter(None, (self._wanted.traces, self._wanted.metrics)):
            try:
                parts = urlsplit(endpoint)
                port = parts.port or (443 if parts.scheme == "https" else 80)
                socket.create_connection((parts.hostname or "", port), PROBE_S).close()
            except (OSError, ValueError):
                return False
        return True

    def record(self, points: Iterable[MetricPoint]) -> None:
        """Add the points to the histograms, which are sent from time to time."""
        for point in points:
            histogram = self._histograms.get(point.histogram.name)
            if histogram is not None:
                histogram.record(point.value, point.attributes)

    def send(self, spans: Sequence[OtlpSpan], trace: str) -> bool:
        """Send at most SPANS_MAX spans of a trace; whether the collector took them."""
        if self._spans is None:
            return True
        readable = [self._readable(span, trace) for span in spans]
        return self._spans.export(readable) is SpanExportResult.SUCCESS

    def close(self, *, timeout_s: float) -> None:
        """Send the metrics that were not sent yet, and end the SDK's threads."""
        if self._meters is not None:
            self._meters.shutdown(timeout_millis=timeout_s * 1000)
        if self._spans is not None:
            self._spans.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: OtlpSpan, trace: str) -> ReadableSpan:
        begin_ns, end_ns = span.times_ns
        parent = None if span.parent is None else _context(trace, span.parent)
        is_bad = span.error is not None
        return ReadableSpan(
            span.name,
            context=_context(trace, span.span_id),
            parent=parent,
            resource=self._resource,
            attributes=_values(span.all_attributes),
            events=[
                Event(event.name, _values(event.attributes), unix_ns(event.at))
                for event in span.events
            ],
            links=[
                Link(_context(link.trace, link.span), {"orc.link": link.why}) for link in span.links
            ],
            kind=SpanKind.CLIENT if span.kind == CLIENT else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.message) if is_bad else Status(),
            start_time=begin_ns,
            end_time=end_ns,
            instrumentation_scope=self._scope,
        )


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(1))


def _values(attributes: Any) -> dict[str, Any]:
    """Attributes as OTLP can hold them: whole numbers have 64 bits, texts are Unicode."""
    return {name: _value(value) for name, value in attributes.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_value(item) for item in value]
