"""A job as a JUnit XML report for CI: one suite with a case for each step.

The format has no standard. The report uses only what the schemas of Ant, Jenkins and Surefire
have in common, as https://github.com/testmoapp/junitxml describes it. The text is ASCII and
always valid XML 1.0: characters that XML does not allow are written as escapes.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from msgspec import Struct

from orc.ledger.kinds import CUT_SHORT, NOT_LIVE
from orc.ledger.wording import calls_cost_text, steps_text, visible
from orc.projections.exports.source import ExportSource, read_log, read_logs, unix_ns
from orc.projections.scores.rows import Score, read_scores
from orc.projections.tables.rows import AttemptRow, StepRow
from orc.projections.tables.status import step_status
from orc.projections.tables.step_notes import is_tolerated, step_note

LOG_BYTES_MAX = 64 * 1024
"""The size limit of an attempt's log; only the end of a longer one is in the report."""
LOGS_BYTES_MAX = 16 * 1024 * 1024
"""The size limit of all logs together, in the order of the steps; further ones are left out."""
TAIL_LINES = 20

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


class _Counts(Struct):
    tests: int = 0
    failures: int = 0
    skipped: int = 0


def render_junit(source: ExportSource) -> str:
    """The report: a case for each step, item and round, and one for the job if only the job failed.

    A tolerated failure is `skipped`, as is a step that has not run. The report fails exactly if the
    job does, or if a score is false or could not be computed.
    """
    return _Report(source).render()


class _Report:
    def __init__(self, source: ExportSource) -> None:
        self._source = source
        self._counts = _Counts()
        self._logs_left = LOGS_BYTES_MAX
        self._logs = read_logs(source)
        self._bad_scores: dict[str, list[Score]] = {}
        for score in read_scores(source.reader.connection, source.view.job.job_id).scores:
            if score.passed is False or score.error is not None:
                self._bad_scores.setdefault(score.about.step, []).append(score)

    def render(self) -> str:
        job = self._source.view.job
        suite = ET.Element("testsuite")
        suite.append(self._properties())
        for step, _ in self._source.view.in_order():
            self._step(suite, step)
        if self._source.status != "succeeded" and not self._counts.failures:
            self._job(suite)
        counts = {
            "name": _shown(job.name),
            "tests": str(self._counts.tests),
            "failures": str(self._counts.failures),
            "errors": "0",
        }
        begun_at = job.started_at or job.submitted_at
        ended_at = job.finished_at or self._source.as_of
        time = {"time": _seconds(max(0, unix_ns(ended_at) - unix_ns(begun_at)) / 1e9)}
        more = {
            "skipped": str(self._counts.skipped),
            "timestamp": begun_at.partition(".")[0],
            "hostname": _shown((job.owner or "").partition(" on ")[2] or "unknown"),
            "id": "0",
        }
        suite.attrib.update(counts | time | more)
        root = ET.Element("testsuites", counts | time)
        root.append(suite)
        ET.indent(root)
        return f"{_HEAD}{ET.tostring(root, encoding='us-ascii').decode('ascii')}\n"

    def _properties(self) -> ET.Element:
        job = self._source.view.job
        found = {
            "orc.job_id": job.job_id,
            "orc.status": self._source.status,
            "orc.version": self._source.submitted.orc_version,
            "orc.spec": job.spec_file,
            "orc.provider": job.provider,
            "orc.model": job.model,
            "orc.calls": job.calls,
            "orc.input_tokens": job.input_tokens,
            "orc.output_tokens": job.output_tokens,
            "orc.tolerated_failures": self._source.view.all_tolerated.total,
            "orc.cost": calls_cost_text(job.calls, job.cost_nano_usd, job.calls_unpriced) or None,
            "orc.steps": steps_text(job.steps_succeeded, job.steps_total),
            "orc.events": self._source.head.version,
            "orc.ledger_head": self._source.head.hash,
        }
        properties = ET.Element("properties")
        for name, value in found.items():
            if value is not None:
                ET.SubElement(properties, "property", name=name, value=_shown(str(value)))
        return properties

    def _step(self, suite: ET.Element, step: StepRow) -> None:
        case = self._case(suite, step.name, step.duration_s)
        attempts = self._source.view.attempts_of.get(step.name, [])
        broken = self._bad_scores.get(step.name, [])
        if step.status == "failed" and not is_tolerated(self._source.view, step):
            self._counts.failures += 1
            self._failure(case, step, attempts)
        elif broken:
            self._counts.failures += 1
            self._bad_score(case, broken)
        elif step.status != "succeeded":
            self._counts.skipped += 1
            kind, why = _not_run(self._source, step)
            ET.SubElement(case, "skipped", type=kind, message=_shown(why))
        printed = self._printed(step, attempts)
        if printed:
            ET.SubElement(case, "system-out").text = printed

    def _case(self, suite: ET.Element, name: str, duration_s: float | None) -> ET.Element:
        self._counts.tests += 1
        return ET.SubElement(
            suite,
            "testcase",
            name=_shown(name),
            classname=_shown(self._source.view.job.name),
            time=_seconds(duration_s),
        )

    def _failure(self, case: ET.Element, step: StepRow, attempts: list[AttemptRow]) -> None:
        kind, message = step.failure_kind or "failed", step.failure or "no reason is recorded"
        failure = ET.SubElement(
            case, "failure", type=_shown(kind), message=_shown(message.partition("\n")[0])
        )
        log = self._log(attempts[-1]) if attempts else ""
        tail = "\n".join(log.splitlines()[-TAIL_LINES:])
        failure.text = _text(f"{kind}: {message}\n{tail}")

    def _bad_score(self, case: ET.Element, scores: list[Score]) -> None:
        """A result that did not pass: a score is false, or could not be computed."""
        lines = []
        for score in scores:
            why = score.error or score.why or ""
            said = "could not be computed" if score.error is not None else "is false"
            lines.append(f"{score.name} ({score.who}) {said}{f': {why}' if why else ''}")
        failure = ET.SubElement(case, "failure", type="score", message=_shown(lines[0]))
        failure.text = _text("\n".join(lines))

    def _job(self, suite: ET.Element) -> None:
        """A case for a job that did not succeed although no step failed: stopped, timed out, running."""
        job, status = self._source.view.job, self._source.status
        case = self._case(suite, "(job)", job.duration_s)
        self._counts.failures += 1
        message = job.failure if job.failure and status == "failed" else f"the job is {status}"
        failure = ET.SubElement(case, "failure", type=status, message=_shown(message))
        failure.text = _text(f"{message}\nas of {self._source.as_of}")

    def _log(self, attempt: AttemptRow) -> str:
        step = attempt.step_id.removeprefix(f"{attempt.job_id}/")
        log = self._logs.get((step, attempt.attempt))
        return read_log(self._source.reader, log, bytes_max=LOG_BYTES_MAX)

    def _printed(self, step: StepRow, attempts: list[AttemptRow]) -> str:
        parts = []
        for attempt in attempts:
            if self._logs_left <= 0:
                parts.append("[further logs are left out: the report has reached its size limit]\n")
                break
            log = self._log(attempt)
            self._logs_left -= len(log)
            said = f"attempt {attempt.attempt}: {attempt.status}"
            if attempt.failure is not None:
                said += f" ({attempt.failure_kind}): {attempt.failure}"
            if len(attempts) > 1 or attempt.status in ("running", *CUT_SHORT):
                parts.append(f"{said}\n")
            if log:
                parts.append(log if log.endswith("\n") else f"{log}\n")
        if step.reused is not None and not attempts:
            parts.append(f"reused ({step.reused}) from {step.reused_from}\n")
        if step.decision is not None:
            who = (
                f"by {step.decided_by}" if step.decided_by else "because no person decided in time"
            )
            parts.append(f"decision: {step.decision}, {who}\n")
        return _text("".join(parts))


def _not_run(source: ExportSource, step: StepRow) -> tuple[str, str]:
    if step.status == "failed":
        return "tolerated", f"failed, but the job continues: {step.failure_kind}: {step.failure}"
    if step.status == "skipped":
        return "skipped", step.skip_reason or "skipped"
    status = step_status(source.view, step, is_live=source.status not in NOT_LIVE)
    note = step_note(source.view, step, is_live=source.status not in NOT_LIVE)
    return status, f"the step has not ended: {status}{note and f': {note}'}"


def _seconds(duration_s: float | None) -> str:
    # Surefire's schema allows at most three decimals.
    return f"{max(0.0, duration_s or 0.0):.3f}"


def _shown(text: str) -> str:
    return visible(text)


def _text(text: str) -> str:
    return visible(text.replace("\r\n", "\n"), kept="\n\t")
