"""A collector on loopback that takes OTLP over HTTP, and decodes it with the official messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Mood = Literal["good", "slow", "refuses", "babbles"]


@dataclass
class OtlpServer:
    """What was received; `mood` is how it answers."""

    url: str
    mood: Mood = "good"
    spans: list[Any] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, list[Any]] = field(default_factory=dict)
    requests: int = 0

    def by_name(self) -> dict[str, Any]:
        """The spans by name; the last one of each."""
        return {span.name: span for span in self.spans}

    def take(self, path: str, body: bytes) -> None:
        """Decode one request."""
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            for one in traces.resource_spans:
                self.resources.append(attributes_of(one.resource))
                self.spans += [span for scope in one.scope_spans for span in scope.spans]
            return
        assert path == "/v1/metrics", path
        for many in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in many.scope_metrics:
                for metric in scope.metrics:
                    self.metrics[metric.name] = list(metric.histogram.data_points)


@contextmanager
def otlp_server(mood: Mood = "good") -> Iterator[OtlpServer]:
    """A collector while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.requests += 1
            if found.mood == "slow":
                ended.wait(30)
            if found.mood == "good":
                found.take(self.path, body)
            self.send_response(200 if found.mood in ("good", "babbles") else 400)
            answer = b"\xff\x00<script>" * 1000 if found.mood == "babbles" else b""
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    ended = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = OtlpServer(f"http://127.0.0.1:{server.server_address[1]}", mood)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def attributes_of(owner: Any) -> dict[str, Any]:
    """The attributes of a message as plain values."""
    found = {}
    for pair in owner.attributes:
        kind = pair.value.WhichOneof("value")
        value: Any = getattr(pair.value, kind) if kind else None
        if kind == "array_value":
            value = [getattr(each, each.WhichOneof("value")) for each in value.values]
        found[pair.key] = value
    return found
