"""OTLP/JSON: the encoding of spans, independent of their meaning.

The encoding is that of opentelemetry-proto 1.x, "JSON Protobuf Encoding": ids are
lower-case hexadecimal, 64-bit integers and times are decimal texts, enums are numbers.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from orc.ledger.digest import clean_text, digest_json
from orc.projections.exports.source import unix_ns

INTERNAL = 1
CLIENT = 3
_ERROR = 2
_SAMPLED = 1

Value = str | bool | int | float | Sequence[str] | None
"""The value of an attribute; attributes with None are left out."""


@dataclass(slots=True)
class OtlpSpan:
    """A span before it is encoded; times are UTC text. The id is derived from `key`."""

    key: tuple[Any, ...]
    name: str
    begin_at: str
    end_at: str
    parent: str | None = None
    kind: int = INTERNAL
    attributes: dict[str, Value] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    """The `error.type` of a span that ended with an error."""
    message: str | None = None

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


def event(name: str, at: str, attributes: Mapping[str, Value]) -> dict[str, Any]:
    """An event of a span."""
    return {"timeUnixNano": str(unix_ns(at)), "name": name, "attributes": encode(attributes)}


def link(trace: str, span: str, *, why: str) -> dict[str, Any]:
    """A link to another span."""
    return {"traceId": trace, "spanId": span, "attributes": encode({"orc.link": why})}


def encode(attributes: Mapping[str, Value]) -> list[dict[str, Any]]:
    """Attributes in the encoding of OTLP, in the given order."""
    return [
        {"key": clean_text(key), "value": _value(value)}
        for key, value in attributes.items()
        if value is not None
    ]


def encode_span(span: OtlpSpan, trace: str) -> dict[str, Any]:
    """The span as OTLP/JSON."""
    begin_ns = unix_ns(span.begin_at)
    encoded: dict[str, Any] = {"traceId": trace, "spanId": span.span_id}
    if span.parent is not None:
        encoded["parentSpanId"] = span.parent
    attributes = dict(span.attributes)
    if span.error is not None:
        attributes["error.type"] = span.error
    encoded |= {
        "flags": _SAMPLED,
        "name": clean_text(span.name),
        "kind": span.kind,
        "startTimeUnixNano": str(begin_ns),
        # If the clock was set back meanwhile, the span has the length 0.
        "endTimeUnixNano": str(max(begin_ns, unix_ns(span.end_at))),
        "attributes": encode(attributes),
        "events": span.events,
        "links": span.links,
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
