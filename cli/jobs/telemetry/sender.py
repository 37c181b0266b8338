"""Sends a job's spans and metrics while it runs, from its committed events, in a thread of its own.

The spans are those of `orc export --format otel`: the thread reads them from the ledger, and sends
each as soon as what it describes has ended. Nothing waits in a queue for a slow collector but the
points of metrics, of which at most POINTS_MAX wait. The run itself only notes that there are new
events; at its end it waits FLUSH_S at most.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orc.about import version
from orc.cli.jobs.telemetry.wanted import Wanted
from orc.ledger import JobId, LedgerReader, Recorded
from orc.ledger.command_lines import quoted_command
from orc.projections.exports.otel import job_spans
from orc.projections.exports.otel_metrics import CallMetrics, MetricPoint
from orc.projections.exports.otlp import OtlpSpan, trace_id
from orc.projections.exports.source import read_source

if TYPE_CHECKING:
    from orc.cli.jobs.telemetry.collector import Collector

PAUSE_S = 1.0
PAUSE_MAX_S = 30.0
SHARE = 10
"""A pause is this many times as long as the work before it: the thread takes a tenth of a processor."""
FLUSH_S = 2.0
POINTS_MAX = 10_000
Observe = Callable[[Sequence[Recorded]], None]


class Sender:
    """The thread that sends. No method of it raises because of the collector."""

    def __init__(self, database: Path, job_id: JobId, wanted: Wanted, service: str | None) -> None:
        self._database = database
        self._job_id = job_id
        self._wanted = wanted
        self._service = service
        self._metrics = CallMetrics()
        self._points: queue.Queue[MetricPoint] = queue.Queue(POINTS_MAX)
        self._is_ending = threading.Event()
        self._has_news = False
        self._begun_at: str | None = None
        self._sent: set[str] = set()
        self._error = ""
        self._thread = threading.Thread(target=self._work, name="orc telemetry", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def observe(self, batch: Sequence[Recorded]) -> None:
        """Note that these events were committed. It never waits."""
        if self._begun_at is None:
            self._begun_at = batch[0].recorded_at
        self._has_news = True
        for point in self._metrics.points(batch):
            try:
                self._points.put_nowait(point)
            except queue.Full:
                self._error = "the collector is too slow for all of the metrics"

    def finish(self) -> None:
        """Let the thread send what is left, and end."""
        self._is_ending.set()

    def join(self) -> None:
        """Wait until the thread has ended, FLUSH_S at most; it then ends with the process."""
        self._thread.join(FLUSH_S)

    @property
    def problem(self) -> str:
        """What was not sent, in one line; empty if everything was."""
        where = self._wanted.traces or self._wanted.metrics
        why = self._error
        if self._thread.is_alive():
            why = why or "the collector did not take all of it in time"
        if not why:
            return ""
        export = quoted_command("export", self._job_id, "--format", "otel")
        return f"not all telemetry was sent to {where}: {why}; {export} has it"

    def _work(self) -> None:
        try:
            # The SDK takes long to import, so that the run does not wait for it.
            from orc.cli.jobs.telemetry.collector import Collector

            collector = Collector(self._wanted, orc_version=version(), service=self._service)
            self._send_until_end(collector)
            collector.close(timeout_s=FLUSH_S)
        except Exception as error:
            self._error = f"{type(error).__name__}: {error}"

    def _send_until_end(self, collector: Collector) -> None:
        pause_s = PAUSE_S
        with LedgerReader.open(self._database) as reader:
            while True:
                is_last = self._is_ending.wait(pause_s)
                began = time.monotonic()
                if self._has_news and collector.is_there():
                    self._has_news = False
                    is_good = self._send(collector, reader)
                    self._error = "" if is_good else "the collector refused some of it"
                    self._has_news = self._has_news or not is_good
                elif self._has_news:
                    self._error = "nothing answers there"
                if is_last:
                    return
                took = time.monotonic() - began
                pause_s = min(PAUSE_MAX_S, max(PAUSE_S, SHARE * took))

    def _send(self, collector: Collector, reader: LedgerReader) -> bool:
        """Send the points and the spans that are new; whether the collector took all of them."""
        from orc.cli.jobs.telemetry.collector import SPANS_MAX

        collector.record(self._take_points())
        spans = self._new_spans(reader)
        for first in range(0, len(spans), SPANS_MAX):
            batch = spans[first : first + SPANS_MAX]
            if not collector.send(batch, trace_id(self._job_id)):
                return False
            self._sent.update(span.span_id for span in batch)
        return True

    def _take_points(self) -> list[MetricPoint]:
        found = []
        while not self._points.empty():
            found.append(self._points.get_nowait())
        return found

    def _new_spans(self, reader: LedgerReader) -> list[OtlpSpan]:
        """The spans that ended in this run and were not sent."""
        reader.connection.execute("BEGIN")
        try:
            row = reader.connection.execute(
                "SELECT status FROM jobs WHERE job_id = ?", (self._job_id,)
            ).fetchone()
            source = read_source(reader, self._job_id, status=row[0], orc_version=version())
            spans = list(job_spans(source, content=self._wanted.content))
        finally:
            reader.connection.execute("ROLLBACK")
        begun_at = self._begun_at or ""
        return [
            span
            for span in spans
            if not span.is_open and span.end_at >= begun_at and span.span_id not in self._sent
        ]
