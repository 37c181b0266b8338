"""Whether the environment asks for telemetry, and where it goes: the variables of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from orc.about import install_command

_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_ON = ("true", "1")
_CONTENT_ON = (*_ON, "span_only", "span_and_event")
CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where spans and metrics go; None for what is not wanted.

    `content`: spans have prompts, replies, and arguments and results of tools.
    """

    traces: str | None
    metrics: str | None
    content: bool


def wanted_telemetry(environment: Mapping[str, str]) -> Wanted | None:
    """What the environment asks for; None if it asks for nothing."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    traces = _endpoint(environment, "traces")
    metrics = _endpoint(environment, "metrics")
    if traces is None and metrics is None:
        return None
    content = environment.get(CONTENT_VARIABLE, "").strip().lower() in _CONTENT_ON
    return Wanted(traces, metrics, content)


def why_not(environment: Mapping[str, str]) -> str:
    """Why the wanted telemetry cannot be sent; empty if it can."""
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip() or "http/protobuf"
    if protocol != "http/protobuf":
        return (
            f"no telemetry is sent: OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and orc sends "
            "http/protobuf only (port 4318 of a collector)"
        )
    try:
        is_there = find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        is_there = False
    if is_there:
        return ""
    return f"no telemetry is sent: {_BASE} is set, and {install_command('otel')} is missing"


def _endpoint(environment: Mapping[str, str], signal: str) -> str | None:
    if environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none":
        return None
    own = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    base = environment.get(_BASE, "").strip()
    if own or not base:
        return own or None
    return f"{base.rstrip('/')}/v1/{signal}"
