"""Telemetry while a job runs: what a collector gets, and what a bad collector cannot do."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orc.cli.jobs.telemetry.wanted import telemetry_problem, wanted_telemetry
from tests.cli.command_line import orc, write
from tests.model_server import ModelServer, Says
from tests.otlp_server import OtlpServer, attributes_of, otlp_server

SPEC = """\
project: traced
provider: ollama/model-a
steps:
  ask: {prompt: Name a secret river.}
  shout: {needs: ask, run: "echo loud"}
"""


@pytest.fixture
def model(here: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(lambda asked: Says("the Elbe", input_tokens=7, output_tokens=3)) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        write("spec.yaml", SPEC)
        yield server


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpServer]:
    with otlp_server() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield server


def test_the_spans_are_those_of_the_export_and_have_no_content(
    model: ModelServer, collector: OtlpServer
) -> None:
    said = orc("run", "spec.yaml")
    assert said.code == 0
    assert "telemetry" not in said.err
    orc("export", "latest", "--format", "otel", "--to", "trace.json")
    [resource] = json.loads(Path("trace.json").read_text())["resourceSpans"]
    exported = {span["spanId"]: span for span in resource["scopeSpans"][0]["spans"]}
    sent = {span.span_id.hex(): span for span in collector.spans}
    assert set(sent) == set(exported)
    assert len(collector.spans) == len(sent), "each span is sent once"
    for span_id, span in sent.items():
        assert span.trace_id.hex() == exported[span_id]["traceId"]
        assert span.parent_span_id.hex() == exported[span_id].get("parentSpanId", "")
        assert str(span.start_time_unix_nano) == exported[span_id]["startTimeUnixNano"]
        assert str(span.end_time_unix_nano) == exported[span_id]["endTimeUnixNano"]
        assert set(attributes_of(span)) == {pair["key"] for pair in exported[span_id]["attributes"]}
        assert "secret river" not in str(span)
        assert "Elbe" not in str(span)
    call = attributes_of(collector.by_name()["chat model-a"])
    assert call["gen_ai.operation.name"] == "chat"
    assert call["gen_ai.request.model"] == "model-a"
    assert (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"]) == (7, 3)
    assert collector.resources[0]["service.name"] == "orc"


def test_the_metrics_of_calls_have_the_names_of_the_conventions(
    model: ModelServer, collector: OtlpServer
) -> None:
    assert orc("run", "spec.yaml").code == 0
    [took] = collector.metrics["gen_ai.client.operation.duration"]
    about = attributes_of(took)
    assert (took.count, about["gen_ai.request.model"]) == (1, "model-a")
    assert about["server.address"] == "127.0.0.1"
    assert took.explicit_bounds[:3] == [0.01, 0.02, 0.04]
    tokens = {
        attributes_of(point)["gen_ai.token.type"]: point.sum
        for point in collector.metrics["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": 7, "output": 3}


def test_a_variable_adds_the_content_and_another_names_the_service(
    model: ModelServer, collector: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    assert orc("run", "spec.yaml").code == 0
    call = attributes_of(collector.by_name()["chat model-a"])
    assert "secret river" in call["gen_ai.input.messages"]
    assert "Elbe" in call["gen_ai.output.messages"]
    assert collector.resources[0]["service.name"] == "nightly"


def test_a_resumed_job_continues_its_trace(collector: OtlpServer, here: Any) -> None:
    write("spec.yaml", "project: two\nsteps: {a: {run: 'true'}, b: {needs: a, run: test -e ready}}")
    assert orc("run", "spec.yaml").code == 1
    first = {span.span_id: span for span in collector.spans}
    collector.spans.clear()
    write("ready", "")
    assert orc("resume", "latest").code in (0, 1)
    assert {span.trace_id for span in collector.spans} == {one.trace_id for one in first.values()}
    names = {span.name for span in collector.spans}
    assert {"invoke_workflow two", "step b"} <= names
    assert "step a" not in names, "what ended before was sent before"


def dead(_: OtlpServer) -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("mood", ["dead", "slow", "refuses"])
def test_a_bad_collector_changes_nothing_and_is_one_line(
    model: ModelServer, collector: OtlpServer, monkeypatch: pytest.MonkeyPatch, mood: Any
) -> None:
    if mood == "dead":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", dead(collector))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    collector.mood = mood
    began = time.monotonic()
    said = orc("run", "spec.yaml")
    assert time.monotonic() - began < 10
    assert said.code == 0
    told = [line for line in said.err.splitlines() if "telemetry" in line]
    assert len(told) == 1, said.err
    assert "not all telemetry was sent" in told[0]
    assert "Traceback" not in said.err


def test_an_answer_that_is_nonsense_is_ignored(model: ModelServer, collector: OtlpServer) -> None:
    collector.mood = "babbles"
    said = orc("run", "spec.yaml")
    assert said.code == 0
    assert "Traceback" not in said.err
    assert "<script>" not in said.err


def test_what_cannot_be_sent_is_one_line_that_says_what_to_do(
    model: ModelServer, collector: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    said = orc("run", "spec.yaml")
    assert said.code == 0
    assert "orc sends http/protobuf only" in said.err
    assert collector.requests == 0


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("foo", "got 'foo'"),
        ("localhost:4318", "got 'localhost:4318'"),
        ("grpc://localhost:4317", "got 'grpc://localhost:4317'"),
        ("http://", "got 'http://'"),
        ("http://c:port", "got 'http://c:port'"),
        ("http://[::1", "got 'http://[::1'"),
        ("ftp://me:secret@c", "4318"),
    ],
)
def test_a_bad_address_is_reported_before_the_run(
    address: str, shown: str, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    said = orc("run", "spec.yaml")
    assert said.code == 0
    (line,) = [line for line in said.err.splitlines() if "telemetry" in line]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT must be an address such as http://" in line
    assert shown in line
    assert "secret" not in line
    assert said.err.index(line) < said.err.index("started")


def test_without_the_extra_the_line_has_the_variable_and_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orc.cli.jobs.telemetry.wanted.find_spec", lambda name: None)
    said = telemetry_problem({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"})
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, and the extra otel is not" in said
    assert "pip install 'orc-ledger[otel]'" in said


def test_the_variables_of_opentelemetry_turn_it_off_and_aim_it() -> None:
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}
    assert wanted_telemetry({}) is None
    assert wanted_telemetry({**base, "OTEL_SDK_DISABLED": "true"}) is None
    found = wanted_telemetry({**base, "OTEL_METRICS_EXPORTER": "none"})
    assert found is not None
    assert (found.traces, found.metrics, found.content) == ("http://c:4318/v1/traces", None, False)
    own = wanted_telemetry({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"})
    assert own is not None
    assert (own.traces, own.metrics) == ("http://t/x", None)
