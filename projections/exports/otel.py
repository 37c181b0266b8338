"""A job as a trace: OpenTelemetry spans in one OTLP/JSON document.

The job is the root span. Its children are steps; a step's children are the steps inside it and
its attempts; an attempt's children are model calls, tools and human decisions
(`otel_calls.py`). Names come from OpenTelemetry's GenAI semantic conventions where these have
one: version 1.41.1, the last version in `docs/gen-ai` of
https://github.com/open-telemetry/semantic-conventions. All other names are `orc.*`. The
conventions require few different span names, so that the number of an item or round is only
in `orc.step`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orc.ledger.kinds import CUT_SHORT, JOB_ENDED_BADLY, NOT_LIVE
from orc.projections.exports import otlp
from orc.projections.exports.otel_calls import (
    EventFacts,
    call_spans,
    decision_span,
    read_event_facts,
    tool_spans,
)
from orc.projections.exports.otlp import OtlpSpan
from orc.projections.exports.source import ExportSource, spec_name
from orc.projections.tables.rows import AttemptRow, StepRow
from orc.projections.tables.status import step_status

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
_ENDED_BADLY = (*JOB_ENDED_BADLY, *CUT_SHORT)


def render_otel(source: ExportSource, *, content: bool = False) -> str:
    """The document, on one line of ASCII. `content` adds prompts, replies, arguments and results."""
    value = build_otel(source, content=content)
    return f"{json.dumps(value, ensure_ascii=True)}\n".replace("\x7f", "\\u007f")


def build_otel(source: ExportSource, *, content: bool = False) -> dict[str, Any]:
    """The document as a JSON value."""
    trace = otlp.trace_id(source.job_id)
    return otlp.document(
        [otlp.encode_span(span, trace) for span in job_spans(source, content=content)],
        resource={
            "service.name": "orc",
            "service.version": source.submitted.orc_version,
        },
        scope=("orc", source.orc_version),
        schema_url=SCHEMA_URL,
    )


def job_spans(source: ExportSource, *, content: bool = False) -> Iterator[OtlpSpan]:
    """The spans of the job so far, parents before their children. `content` is as in `render_otel`."""
    return _Trace(source, read_event_facts(source), content).spans()


def step_span_id(job_id: str, step: str) -> str:
    """The id of a step's span, in the trace of its job."""
    return otlp.span_id(job_id, "step", step)


class _Trace:
    def __init__(self, source: ExportSource, facts: EventFacts, content: bool) -> None:
        self._source = source
        self._view = source.view
        self._facts = facts
        self._content = content
        self._trace = otlp.trace_id(source.job_id)
        self._begun = {step.name for step in self._view.steps if self._has_begun(step)}

    def spans(self) -> Iterator[OtlpSpan]:
        root = self._job()
        yield root
        for step, _ in self._view.in_order():
            if step.name not in self._begun:
                continue
            span = self._step(step, root)
            yield span
            for attempt in self._view.attempts_of.get(step.name, []):
                begun = self._attempt(step, attempt, span)
                yield begun
                yield from self._inside(step, attempt, begun)

    def _inside(self, step: StepRow, attempt: AttemptRow, span: OtlpSpan) -> Iterator[OtlpSpan]:
        yield from call_spans(self._source, self._facts, step, attempt, span, content=self._content)
        yield from tool_spans(self._source, self._facts, step, attempt, span, content=self._content)
        decision = decision_span(self._facts, step, attempt, span, content=self._content)
        if decision is not None:
            yield decision

    def _job(self) -> OtlpSpan:
        job, status = self._view.job, self._source.status
        span = OtlpSpan(
            key=(job.job_id, "job"),
            name=f"invoke_workflow {job.name}",
            begin_at=job.submitted_at,
            end_at=job.finished_at or self._source.as_of,
            is_open=not self._source.has_ended,
            attributes={
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": job.name,
                "orc.job": job.job_id,
                "orc.status": status,
                "orc.unfinished": None if self._source.has_ended else True,
                "orc.steps": job.steps_total,
                "orc.calls": job.calls,
                "orc.usage.input_tokens": job.input_tokens,
                "orc.usage.output_tokens": job.output_tokens,
                "orc.cost_usd": job.cost_usd,
                "orc.calls_unpriced": job.calls_unpriced or None,
                "orc.calls_in_doubt": job.calls_in_doubt or None,
                "orc.tolerated_failures": self._view.all_tolerated.total or None,
                "orc.ledger.version": self._source.head.version,
                "orc.ledger.head": self._source.head.hash,
            },
        )
        if status in _ENDED_BADLY:
            span.error, span.message = status, job.failure
        if job.forked_from is not None:
            other = otlp.span_id(job.forked_from, "job")
            span.links.append(otlp.SpanLink(otlp.trace_id(job.forked_from), other, "forked_from"))
        return span

    def _step(self, step: StepRow, root: OtlpSpan) -> OtlpSpan:
        attempts = self._view.attempts_of.get(step.name, [])
        begins = [step.started_at, *(attempt.started_at for attempt in attempts)]
        ends = [step.finished_at, *(attempt.finished_at for attempt in attempts)]
        is_over = step.finished_at is not None
        end_at = max(filter(None, ends), default=self._source.as_of)
        holder = step.parent if step.parent in self._begun else None
        is_live = self._source.status not in NOT_LIVE
        span = OtlpSpan(
            key=(step.job_id, "step", step.name),
            name=f"step {spec_name(self._view, step)}",
            begin_at=min(filter(None, begins), default=end_at),
            end_at=end_at if is_over else self._source.as_of,
            is_open=not is_over,
            parent=root.span_id if holder is None else step_span_id(step.job_id, holder),
            attributes={
                "orc.job": step.job_id,
                "orc.step": step.name,
                "orc.kind": step.kind,
                "orc.status": step_status(self._view, step, is_live=is_live),
                "orc.unfinished": None if is_over else True,
                "orc.attempts": step.attempts,
                "orc.skip_reason": step.skip_reason,
                "orc.tolerated": True if step.tolerated else None,
                "orc.warning": step.warning,
                "orc.reused": step.reused,
                "orc.cost_usd": step.cost_usd,
            },
        )
        if step.status in _ENDED_BADLY:
            span.error, span.message = step.failure_kind or step.status, step.failure
        span.links = [*self._links(step)]
        span.events = [
            otlp.SpanEvent(
                "orc.fallback", at, {"orc.from": one.from_target, "orc.to": one.to_target}
            )
            for at, one in self._facts.switched.get(step.name, ())
        ]
        return span

    def _links(self, step: StepRow) -> Iterator[otlp.SpanLink]:
        for name in step.needed:
            if name in self._begun:
                needed = step_span_id(step.job_id, name)
                yield otlp.SpanLink(self._trace, needed, "needs")
        if step.reused_from is not None:
            job_id, _, name = step.reused_from.partition("/")
            yield otlp.SpanLink(otlp.trace_id(job_id), step_span_id(job_id, name), "reused_from")

    def _attempt(self, step: StepRow, attempt: AttemptRow, parent: OtlpSpan) -> OtlpSpan:
        end_at = attempt.finished_at or self._source.as_of
        span = OtlpSpan(
            key=(step.job_id, "attempt", step.name, attempt.attempt),
            name=f"attempt {spec_name(self._view, step)}",
            begin_at=attempt.started_at,
            end_at=end_at,
            is_open=not attempt.finished_at,
            parent=parent.span_id,
            attributes={
                "orc.job": step.job_id,
                "orc.step": step.name,
                "orc.attempt": attempt.attempt,
                "orc.status": attempt.status,
                "orc.unfinished": None if attempt.finished_at else True,
                "orc.executor": attempt.executor,
                "orc.queued_s": attempt.queued_s,
                "host.name": attempt.host,
                "process.exit.code": attempt.exit_code,
            },
        )
        if attempt.status in _ENDED_BADLY:
            span.error = attempt.failure_kind or attempt.status.replace(" ", "_")
            span.message = attempt.failure
        for at, hit in self._facts.hits.get((step.name, attempt.attempt), ()):
            paid_by = None if hit.paid_by is None else hit.paid_by.job_id
            of_hit: dict[str, otlp.Value] = {"orc.call": hit.call, "orc.paid_by": paid_by}
            span.events.append(otlp.SpanEvent("orc.cache_hit", at, of_hit))
        if attempt.retry_delay_s is not None:
            delay: dict[str, otlp.Value] = {"orc.delay_s": attempt.retry_delay_s}
            span.events.append(otlp.SpanEvent("orc.retry", end_at, delay))
        return span

    def _has_begun(self, step: StepRow) -> bool:
        return bool(step.started_at or step.finished_at or self._view.attempts_of.get(step.name))
