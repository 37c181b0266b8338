"""A recorded job with another spec: the edits, and nothing that changed around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.secrets import hide_in_inputs, refuse_written_out
from orc.cli.jobs.caller.spec_files import SpecFiles, read_spec_file
from orc.cli.jobs.prepare import Submission, prepare, spec_dir_of
from orc.ledger import LedgerReader
from orc.ledger.definition import REPLAY, JobDef
from orc.ledger.digest import Digest, clean_text
from orc.ledger.masking import Mask
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.compare import rebase
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.spec.parse import examine


@dataclass(frozen=True, slots=True)
class Edited:
    """The job that a spec stands for now, and the files beside the spec that it brought."""

    definition: JobDef
    text: str
    source_name: str
    spec_dir: str
    files: tuple[tuple[str, bytes], ...] = ()

    @property
    def blobs(self) -> list[bytes]:
        """What those files hold."""
        return [content for _, content in self.files]


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


def edit_job(
    ledger: LedgerReader,
    state: JobState,
    *,
    path: Path | None = None,
    change: Callable[[str], str] = str,
    inputs: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Edited:
    """The job with the spec in a file, else its own; `change` edits the text, `inputs` come over it.

    Raises SpecError, UsageProblem.
    """
    recorded = state.definition
    before = as_recorded(ledger, state)
    text, name, folder = before.text, before.source_name, Path(before.spec_dir)
    known_files = _KnownFiles(folder, recorded)
    files: SpecFiles = known_files
    if path is not None:
        text, name = read_spec_file(path)
        folder = spec_dir_of(Submission(path=path))
        files = SpecFiles(folder)
    text = change(text)
    spec, _ = examine(text, source_name=name)
    if spec.job.project != recorded.project:
        raise UsageProblem(
            f"{name}: project is {spec.job.project!r}, and the job's is {recorded.project!r}, which "
            "its files are under; keep the project, or submit a new job: orc run"
        )
    given = _given_inputs(before.text, recorded)

    def resolve(provider: str | None) -> JobDef | None:
        """The spec before the edits, under the settings of now; none where those refuse it."""
        submission = Submission(text=before.text, provider=provider, inputs=given)
        try:
            return prepare(submission, environment, files=known_files)[1]
        except SpecError:
            return None

    # None of what it was switched to at its submission is recorded but the outcome.
    by_name = recorded.provider
    switches = (None, by_name, by_name if by_name == REPLAY else f"{by_name}/{recorded.model}")
    for switched in switches:
        base = resolve(switched)
        if base is not None and (base.provider, base.model) == (by_name, recorded.model):
            break
    kept = {key: value for key, value in given.items() if key in spec.job.inputs}
    submission = Submission(text=text, name=name, provider=switched, inputs={**kept, **inputs})
    _, definition = prepare(submission, environment, files=files)
    if base is not None:
        definition = rebase(recorded, base, definition)
    found = tuple(files.named())
    return Edited(definition, text, clean_text(name), clean_text(str(folder)), found)


def without_secrets(mask: Mask, edited: Edited) -> Edited:
    """The job without secrets in its inputs. Raises SpecError where the spec has one."""
    definition = hide_in_inputs(mask, edited.definition)
    refuse_written_out(mask, definition, edited.text, edited.source_name, edited.files)
    return replace(edited, definition=definition)


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
