"""Whether the environment asks for telemetry, and where it goes: the variables of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from msgspec import Struct

from orc.about import install_command
from orc.ledger.wording import visible

_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_ON = ("true", "1")
_CONTENT_ON = (*_ON, "span_only", "span_and_event")
CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Wanted(Struct, frozen=True):
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


def telemetry_problem(environment: Mapping[str, str]) -> str:
    """Why the telemetry that the environment asks for cannot be sent; empty if it can."""
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip() or "http/protobuf"
    if protocol != "http/protobuf":
        return (
            f"no telemetry is sent: OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and orc sends "
            "http/protobuf only (port 4318 of a collector)"
        )
    signals = [name for name in ("traces", "metrics") if _endpoint(environment, name) is not None]
    variables = [_variable_of(environment, signal) for signal in signals]
    for variable in variables:
        if problem := _address_problem(environment[variable].strip()):
            return f"no telemetry is sent: {variable} {problem}"
    try:
        is_there = find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        is_there = False
    if is_there:
        return ""
    missing = f"the extra otel is not installed: {install_command('otel')}"
    return f"no telemetry is sent: {variables[0]} is set, and {missing}"


def _endpoint(environment: Mapping[str, str], signal: str) -> str | None:
    if environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none":
        return None
    variable = _variable_of(environment, signal)
    given = environment.get(variable, "").strip()
    if variable != _BASE or not given:
        return given or None
    return f"{given.rstrip('/')}/v1/{signal}"


def _variable_of(environment: Mapping[str, str], signal: str) -> str:
    """The variable that says where the signal goes."""
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    return own if environment.get(own, "").strip() else _BASE


def _address_problem(address: str) -> str:
    """Why no request can be sent to the address; empty if one can. A password in it is not quoted."""
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_address = is_address and parts.port != 0
    except ValueError:
        is_address = False
    if is_address and address.isprintable() and " " not in address:
        return ""
    got = "" if "@" in address else f"; got {visible(repr(address))}"
    return f"must be an address such as http://localhost:4318{got}"
