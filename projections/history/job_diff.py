"""Compares two jobs: their specs, settings, steps, prompts, replies and files.

Durations, tokens and costs are not differences; the rows of both jobs have them for display.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct

from orc.ledger.definition import JobDef, StepDef
from orc.ledger.errors import LedgerError, describe_unreadable
from orc.ledger.kinds import ANSWERED
from orc.ledger.reader import LedgerReader
from orc.ledger.step_names import lineage
from orc.ledger.wording import count_text
from orc.projections.history.definitions import SpecSeen, read_spec
from orc.projections.history.exchange import Exchange, read_exchange
from orc.projections.history.text_diff import TextDiff, diff_texts
from orc.projections.tables.job_view import JobView, read_calls, read_files, read_view
from orc.projections.tables.rows import CallRow, FileRow, JobRow, StepRow

State = Literal["added", "removed", "changed", "same"]

CALLS_MAX = 20
TEXT_BYTES_MAX = 1024 * 1024


class Change(Struct, frozen=True):
    """A setting with different values in two jobs, each a JSON value; None if a job has no value."""

    name: str
    before: Any
    after: Any


class TextDifference(Struct, frozen=True):
    """A text that differs: its name and the difference, or the reason why it cannot be compared."""

    what: str
    diff: TextDiff | None
    lost: str | None = None


class StepDiff(Struct, frozen=True):
    """A step in both jobs; a row is None if a job has no such step. `texts` are those that differ."""

    name: str
    state: State
    before: StepRow | None
    after: StepRow | None
    texts: tuple[TextDifference, ...] = ()


class FileDiff(Struct, frozen=True):
    """A file in both jobs; a row is None if a job has no such file. `text` compares two texts."""

    path: str
    state: State
    before: FileRow | None
    after: FileRow | None
    text: TextDifference | None = None


class JobDiff(Struct, frozen=True):
    """The comparison of two jobs; `steps` and `files` have equal ones too."""

    before: JobRow
    after: JobRow
    spec: TextDifference | None
    settings: tuple[Change, ...]
    steps: tuple[StepDiff, ...]
    files: tuple[FileDiff, ...]

    @property
    def is_same(self) -> bool:
        """Whether at most times, tokens and costs differ."""
        states = {step.state for step in self.steps} | {file.state for file in self.files}
        return self.spec is None and not self.settings and states <= {"same"}


def read_diff(
    reader: LedgerReader, before_id: str, after_id: str, *, step: str | None = None
) -> JobDiff:
    """Compare two jobs, or one step of them with its inner steps. Raises LedgerError."""
    before, after = (read_view(reader.connection, name) for name in (before_id, after_id))
    comparer = JobComparer(reader, before, after, step)
    return JobDiff(
        before.job,
        after.job,
        None if step is not None else comparer.spec(),
        tuple(comparer.settings()),
        tuple(comparer.steps()),
        tuple(comparer.files()),
    )


def _spec_text(before: SpecSeen, after: SpecSeen) -> TextDifference | None:
    if before.source is None or after.source is None:
        lost = before.lost if before.source is None else after.lost
        is_equal = before.source_sha256 == after.source_sha256
        return None if is_equal else TextDifference("spec", None, lost)
    diff = diff_texts(before.source, after.source)
    return None if diff is None else TextDifference("spec", diff)


def _settings(
    before: JobView, after: JobView, old: SpecSeen, new: SpecSeen, step: str | None
) -> Iterator[Change]:
    """Differences in target and inputs of the jobs, and in target and params of each step."""
    if step is None:
        yield from _changes("", _target_keys(old.definition), _target_keys(new.definition))
        yield from _changes("inputs.", old.inputs, new.inputs)
    for name in before.by_name:
        if name in after.by_name and (step is None or step in lineage(name)):
            one, other = old.step(name), new.step(name)
            yield from _changes(f"{name}.", _target_keys(one), _target_keys(other))
            params = ({} if step is None else step.params for step in (one, other))
            yield from _changes(f"{name}.params.", *params)


def _target_keys(found: JobDef | StepDef | None) -> dict[str, Any]:
    """The target, under the names of the spec's keys. A job itself has no `base_url`."""
    return {name: getattr(found, name, None) for name in ("provider", "model", "base_url")}


def _changes(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield Change(f"{prefix}{name}", old.get(name), new.get(name))


class JobComparer:
    """Compares two jobs, or one step of them with its inner steps, part by part."""

    def __init__(
        self,
        reader: LedgerReader,
        before: JobView,
        after: JobView,
        step: str | None = None,
    ) -> None:
        self._reader = reader
        self._before = before
        self._after = after
        self._step = step

    def spec(self) -> TextDifference | None:
        """The difference of the two specs. Raises LedgerError."""
        return _spec_text(*self._specs)

    def settings(self) -> Iterator[Change]:
        """The settings that differ. Raises LedgerError."""
        return _settings(self._before, self._after, *self._specs, self._step)

    def step(self, name: str) -> StepDiff:
        """One step, which at least one of the jobs must have."""
        return self._step_diff(name, self._before.by_name.get(name), self._after.by_name.get(name))

    @cached_property
    def _specs(self) -> tuple[SpecSeen, SpecSeen]:
        ids = (self._before.job.job_id, self._after.job.job_id)
        return read_spec(self._reader, ids[0]), read_spec(self._reader, ids[1])

    def steps(self) -> Iterator[StepDiff]:
        """All steps: those of the second job in its order, then those that only the first job has."""
        old, new = self._before.by_name, self._after.by_name
        for name in (*new, *(name for name in old if name not in new)):
            if self._is_wanted(name):
                yield self._step_diff(name, old.get(name), new.get(name))

    def files(self, *, texts_max: int | None = None) -> Iterator[FileDiff]:
        """All files by path; for jobs of different projects, by the path within the project.

        The first `texts_max` texts that differ are compared; all of them by default.
        """
        texts_left = float("inf") if texts_max is None else texts_max
        old, new = self._files_of(self._before), self._files_of(self._after)
        for path in sorted({*old, *new}):
            one, other = old.get(path), new.get(path)
            if one is None or other is None:
                yield FileDiff(path, "added" if one is None else "removed", one, other)
            elif one.sha256 == other.sha256:
                state: State = "same" if one.mode == other.mode else "changed"
                yield FileDiff(path, state, one, other)
            else:
                texts_left -= 1
                text = self._file_text(one, other) if texts_left >= 0 else None
                yield FileDiff(path, "changed", one, other, text)

    def _is_wanted(self, name: str) -> bool:
        return self._step is None or self._step in lineage(name)

    def _files_of(self, view: JobView) -> dict[str, FileRow]:
        is_same_project = self._before.job.name == self._after.job.name
        prefix = "" if is_same_project else f"{view.job.name}/"
        return {
            file.path.removeprefix(prefix): file
            for file in read_files(self._reader.connection, view.job.job_id)
            if self._is_wanted(file.step_id.partition("/")[2])
        }

    def _step_diff(self, name: str, old: StepRow | None, new: StepRow | None) -> StepDiff:
        if old is None or new is None:
            return StepDiff(name, "added" if old is None else "removed", old, new)
        texts = tuple(self._texts(old, new))
        is_same = not texts and old.status == new.status and old.kind == new.kind
        return StepDiff(name, "same" if is_same else "changed", old, new, texts)

    def _texts(self, old: StepRow, new: StepRow) -> Iterator[TextDifference]:
        calls = list(self._calls(old, new))
        yield from calls
        reply_diffs = [text.diff for text in calls]
        if (old.output, old.output_sha256) != (new.output, new.output_sha256):
            outputs = self._pair("output", *self._outputs(old, new))
            # The output is often just the last reply, whose difference is listed already.
            yield from (
                text for text in outputs if text.diff is None or text.diff not in reply_diffs
            )
        for what, one, other in (
            ("failure", old.failure, new.failure),
            ("reason of the skip", old.skip_reason, new.skip_reason),
        ):
            yield from self._pair(what, (one or "", None), (other or "", None))

    def _calls(self, old: StepRow, new: StepRow) -> Iterator[TextDifference]:
        """The first prompt, and each reply. A step whose result was reused has no calls."""
        olds, news = (self._answered(row) for row in (old, new))
        for number, (one, other) in enumerate(zip(olds, news, strict=False), start=1):
            if number > CALLS_MAX:
                return
            is_same_request = one.request_sha256 == other.request_sha256
            if is_same_request and one.reply_blob and one.reply_blob == other.reply_blob:
                continue
            first, second = (read_exchange(self._reader, call) for call in (one, other))
            of_call = "" if len(olds) == len(news) == 1 else f" {number}"
            if number == 1 and not is_same_request:
                yield from self._pair("prompt", _prompt_text(first), _prompt_text(second))
            yield from self._pair(f"reply{of_call}", _reply_text(first), _reply_text(second))
        if len(olds) != len(news) and olds and news:
            diff = diff_texts(count_text(len(olds), "call"), count_text(len(news), "call"))
            yield TextDifference("number of calls", diff)

    def _answered(self, row: StepRow) -> list[CallRow]:
        calls = read_calls(self._reader.connection, row.step_id)
        return [call for call in calls if call.status in ANSWERED]

    def _outputs(self, *rows: StepRow) -> Iterator[tuple[str, str | None]]:
        for row in rows:
            if row.output_sha256 is None:
                yield _pretty(row.output or ""), None
                continue
            content, lost = self._bytes(row.output_sha256)
            yield _pretty(content.decode("utf-8", "replace")), lost

    def _file_text(self, old: FileRow, new: FileRow) -> TextDifference | None:
        if max(old.size_bytes, new.size_bytes) > TEXT_BYTES_MAX:
            return None
        found = [self._bytes(file.sha256) for file in (old, new)]
        if any(b"\0" in content for content, _ in found):
            return None
        try:
            pair = [(content.decode(), lost) for content, lost in found]
        except UnicodeDecodeError:
            return None
        return next(self._pair("content", *pair), None)

    def _bytes(self, sha256: str) -> tuple[bytes, str | None]:
        try:
            return self._reader.read_blob(sha256), None
        except LedgerError as error:
            return b"", describe_unreadable(error)

    def _pair(
        self, what: str, old: tuple[str, str | None], new: tuple[str, str | None]
    ) -> Iterator[TextDifference]:
        lost = old[1] or new[1]
        if lost is not None:
            yield TextDifference(what, None, lost)
            return
        diff = diff_texts(old[0], new[0])
        if diff is not None:
            yield TextDifference(what, diff)


def _prompt_text(exchange: Exchange) -> tuple[str, str | None]:
    system = [f"system: {exchange.system}"] if exchange.system else []
    turns = [f"{turn.role}: {turn.text}" for turn in exchange.turns]
    return "\n".join((*system, *turns)), exchange.lost


def _reply_text(exchange: Exchange) -> tuple[str, str | None]:
    if exchange.reply is None:
        return "", exchange.lost
    tool_calls = [f"{name} {arguments}" for name, arguments in exchange.reply.tool_calls]
    return "\n".join((exchange.reply.text, *tool_calls)), exchange.lost


def _pretty(text: str) -> str:
    """A JSON object or list in indented form; any other text as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict | list):
        return text
    return json.dumps(value, indent=2, ensure_ascii=False)
