"""OTLP/JSON: the encoding of spans, independent of their meaning.

The encoding is that of opentelemetry-proto 1.x, "JSON Protobuf Encoding": ids are
lower-case hexadecimal, 64-bit integers and times are decimal texts, enums are numbers.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from msgspec import Struct, field

from orc.ledger.digest import clean_text, digest_json
from orc.projections.exports.source import unix_ns

INTERNAL = 1
CLIENT = 3
_ERROR = 2
_SAMPLED = 1

Value = str | bool | int | float | Sequence[str] | None
"""The value of an attribute; attributes with None are left out."""


class SpanEvent(Struct, frozen=True):
    """An event of a span, at a time in UTC text."""

    name: str
    at: str
    attributes: Mapping[str, Value]


class SpanLink(Struct, frozen=True):
    """A link to another span; `why` is the attribute `orc.link`."""

    trace: str
    span: str
    why: str


class OtlpSpan(Struct):
    """A span before it is encoded; times are UTC text. The id is derived from `key`.

    `is_open`: what it tells of has not ended yet, so that its end may still change.
    """

    key: tuple[Any, ...]
    name: str
    begin_at: str
    end_at: str
    parent: str | None = None
    kind: int = INTERNAL
    attributes: dict[str, Value] = field(default_factory=dict)
    events: list[SpanEvent] = field(default_factory=list)
    links: list[SpanLink] = field(default_factory=list)
    error: str | None = None
    """The `error.type` of a span that ended with an error."""
    message: str | None = None
    is_open: bool = False

    @property
    def all_attributes(self) -> dict[str, Value]:
        """The attributes that have a value, with the type of the error."""
        attributes = {**self.attributes, "error.type": self.error}
        return {name: value for name, value in attributes.items() if value is not None}

    @property
    def times_ns(self) -> tuple[int, int]:
        """Begin and end in nanoseconds since 1970. If the clock was set back, the length is 0."""
        begin_ns = unix_ns(self.begin_at)
        return begin_ns, max(begin_ns, unix_ns(self.end_at))

    @property
    def span_id(self) -> str:
        """The id: the same in every export of the job."""
        return span_id(*self.key)


def trace_id(job_id: str) -> str:
    """The id of a job's trace: 16 bytes of a SHA-256, in hexadecimal."""
    return digest_json(["orc trace", job_id])[:32]


def span_id(*key: Any) -> str:
    """The id of a span: 8 bytes of the SHA-256 of its key, in hexadecimal."""
    return digest_json(["orc span", *key])[:16]


def encode(attributes: Mapping[str, Value]) -> list[dict[str, Any]]:
    """Attributes in the encoding of OTLP, in the given order."""
    return [
        {"key": clean_text(key), "value": _value(value)}
        for key, value in attributes.items()
        if value is not None
    ]


def encode_span(span: OtlpSpan, trace: str) -> dict[str, Any]:
    """The span as OTLP/JSON."""
    begin_ns, end_ns = span.times_ns
    encoded: dict[str, Any] = {"traceId": trace, "spanId": span.span_id}
    if span.parent is not None:
        encoded["parentSpanId"] = span.parent
    encoded |= {
        "flags": _SAMPLED,
        "name": clean_text(span.name),
        "kind": span.kind,
        "startTimeUnixNano": str(begin_ns),
        "endTimeUnixNano": str(end_ns),
        "attributes": encode(span.all_attributes),
        "events": [
            {
                "timeUnixNano": str(unix_ns(event.at)),
                "name": event.name,
                "attributes": encode(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {
                "traceId": link.trace,
                "spanId": link.span,
                "attributes": encode({"orc.link": link.why}),
            }
            for link in span.links
        ],
        "status": {},
    }
    if span.error is not None:
        encoded["status"] = {"message": clean_text(span.message or ""), "code": _ERROR}
    return encoded


def document(
    spans: Sequence[dict[str, Any]],
    *,
    resource: Mapping[str, Value],
    scope: tuple[str, str],
    schema_url: str,
) -> dict[str, Any]:
    """A whole `TracesData` message; `scope` is the name and version of the exporting program."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": encode(resource)},
                "scopeSpans": [
                    {
                        "scope": {"name": scope[0], "version": scope[1]},
                        "spans": list(spans),
                        "schemaUrl": schema_url,
                    }
                ],
                "schemaUrl": schema_url,
            }
        ]
    }


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int() if abs(value) < 1 << 63:
            return {"intValue": str(value)}
        case float() if isfinite(value):
            return {"doubleValue": value}
        case int() | float():
            return {"stringValue": str(value)}
        case str():
            return {"stringValue": clean_text(value)}
        case _:
            return {"arrayValue": {"values": [_value(item) for item in value]}}
