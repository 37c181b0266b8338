"""A recorded job with another spec: the edits, and nothing that changed around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.spec_files import SpecFiles
from cli.submission import Submission, UsageProblem, prepare, read_spec, spec_dir_of
from ledger import LedgerReader
from ledger.digest import Digest, clean_text
from scheduler.core.compare import rebase
from scheduler.core.errors import SpecError
from scheduler.core.resolved import REPLAY, JobDef
from scheduler.core.spec import examine
from scheduler.core.state import JobState


@dataclass(frozen=True, slots=True)
class Edited:
    """The job that a spec stands for now, and the files beside the spec that it brought."""

    definition: JobDef
    text: str
    source_name: str
    spec_dir: str
    blobs: list[bytes] = field(default_factory=list)


class _KnownFiles(SpecFiles):
    """The files that a job was submitted with, whatever has become of them."""

    def __init__(self, folder: Path, definition: JobDef) -> None:
        super().__init__(folder)
        self._known = {
            part.image: part.sha256
            for step in definition.steps
            for message in step.messages
            for part in (message.content if isinstance(message.content, tuple) else ())
            if part.image is not None and part.sha256 is not None
        }

    def take(self, name: str) -> Digest:
        """See `SpecFiles.take`."""
        return self._known.get(name) or super().take(name)


def read_source(ledger: LedgerReader, state: JobState) -> str:
    """The job's spec as its author wrote it."""
    assert state.submitted is not None
    return str(ledger.read_payload(state.submitted.source))


def as_recorded(ledger: LedgerReader, state: JobState) -> Edited:
    """The job as it is."""
    submitted = state.submitted
    assert submitted is not None
    source = read_source(ledger, state)
    return Edited(state.definition, source, submitted.source_name, submitted.spec_dir)


def edit_with_file(
    ledger: LedgerReader,
    state: JobState,
    path: Path,
    *,
    inputs: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Edited:
    """The job with the spec in a file. Raises SpecError, UsageProblem."""
    text, name = read_spec(Submission(path=path))
    folder = spec_dir_of(Submission(path=path))
    return _edit(ledger, state, text, name, SpecFiles(folder), folder, inputs, environment)


def edit_with_text(
    ledger: LedgerReader,
    state: JobState,
    text: str,
    *,
    inputs: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Edited:
    """The job with another text for its spec, where it was submitted. Raises as `edit_with_file`."""
    assert state.submitted is not None
    folder = Path(state.submitted.spec_dir)
    name = state.submitted.source_name
    files = _KnownFiles(folder, state.definition)
    return _edit(ledger, state, text, name, files, folder, inputs, environment)


def _edit(
    ledger: LedgerReader,
    state: JobState,
    text: str,
    name: str,
    files: SpecFiles,
    folder: Path,
    inputs: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Edited:
    recorded = state.definition
    spec, _ = examine(text, source_name=name)
    if spec.job.project != recorded.project:
        raise UsageProblem(
            f"{name}: project is {spec.job.project!r}, and the job's is {recorded.project!r}, which "
            "its files are under; keep the project, or submit a new job: orc run"
        )
    before = read_source(ledger, state)
    given = _given_inputs(before, recorded)
    known = {key: value for key, value in given.items() if key in spec.job.inputs}
    known_files = _KnownFiles(folder, recorded)
    switched = _switched(before, recorded, given, environment, known_files)
    _, definition = prepare(
        Submission(text=text, provider=switched, inputs={**known, **inputs}, name=name),
        environment,
        files=files,
    )
    base = _resolve(before, switched, given, environment, known_files)
    if base is not None:
        definition = rebase(recorded, base, definition)
    blobs = list(files.contents.values())
    return Edited(definition, text, clean_text(name), clean_text(str(folder)), blobs)


def _given_inputs(source: str, recorded: JobDef) -> dict[str, Any]:
    """The inputs that the spec's own defaults do not give."""
    try:
        declared = examine(source, source_name="")[0].job.inputs
    except SpecError:
        return dict(recorded.inputs)
    return {
        name: value
        for name, value in recorded.inputs.items()
        if name not in declared or declared[name].default != value
    }


def _switched(
    source: str,
    recorded: JobDef,
    given: Mapping[str, Any],
    environment: Mapping[str, str],
    files: SpecFiles,
) -> str | None:
    """The provider that the job was switched to at its submission; none where the spec decides."""
    base = _resolve(source, None, given, environment, files)
    if base is None or (base.provider, base.model) == (recorded.provider, recorded.model):
        return None
    return REPLAY if recorded.provider == REPLAY else f"{recorded.provider}/{recorded.model}"


def _resolve(
    source: str,
    provider: str | None,
    given: Mapping[str, Any],
    environment: Mapping[str, str],
    files: SpecFiles,
) -> JobDef | None:
    """The spec under the settings of now; none where this orc, or these settings, refuse it."""
    try:
        submission = Submission(text=source, provider=provider, inputs=given)
        return prepare(submission, environment, files=files)[1]
    except SpecError:
        return None
