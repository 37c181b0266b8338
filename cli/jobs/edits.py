"""Applies an edited spec to a recorded job. Only the edits count, not changed settings.

A recorded spec contains settings from its submission (options, environment). The texts before and
after the edit are therefore resolved under the current settings, and only the fields in which the
two differ are taken into the recorded job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from posixpath import join
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.input_files import NotThere
from orc.cli.jobs.caller.read_inputs import InputReader, source_of
from orc.cli.jobs.caller.secrets import hide_in_inputs, read_mask, refuse_secrets_in_spec
from orc.cli.jobs.caller.spec_files import SpecFiles, read_spec_file
from orc.cli.jobs.prepare import Submission, prepare, spec_dir_of
from orc.ledger import LedgerReader
from orc.ledger.definition import REPLAY, JobDef, ShippedDef, walk_steps
from orc.ledger.digest import Digest, clean_text
from orc.ledger.files.file_store import FileStore, StoredFile
from orc.ledger.files.project_places import spec_folder
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.secrets.masking import Mask
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.compare import rebase
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.spec.data_inputs import ReadRequest
from orc.scheduler.core.spec.model import InputSpec
from orc.scheduler.core.spec.parse import examine

Ask = Callable[[Mapping[str, InputSpec], dict[str, Any]], dict[str, Any]]
"""Completes the given inputs by those that the spec declares, requires and does not get."""


def ask_nothing(declared: Mapping[str, InputSpec], given: dict[str, Any]) -> dict[str, Any]:
    """The given inputs: what is missing is an error."""
    return given


class Edited(Struct, frozen=True):
    """The resolved job of an edited spec, and the files beside the spec that it names."""

    definition: JobDef
    text: str
    source_name: str
    spec_dir: Path
    files: tuple[tuple[str, bytes], ...] = ()
    inputs: InputReader | None = None

    @property
    def blobs(self) -> Iterator[bytes]:
        """The contents of the files, and those of inputs that the ledger itself keeps."""
        yield from (content for _, content in self.files)
        if self.inputs is not None:
            yield from self.inputs.blobs(self.definition)

    def store(self, files: FileStore) -> list[StoredFile]:
        """Put large contents of inputs into the store. Raises OSError, LedgerError."""
        return [] if self.inputs is None else self.inputs.store(self.definition, files)


class _KnownFiles(SpecFiles):
    """Answers from the files that the job was submitted with; they may have changed on disk since."""

    def __init__(self, folder: Path, definition: JobDef) -> None:
        super().__init__(folder)
        self._known = {
            join(step.folder, part.path): part.sha256
            for step in walk_steps(definition.steps)
            for message in step.messages
            for part in (message.content if isinstance(message.content, tuple) else ())
            if part.path is not None and part.sha256 is not None
        }
        self._shipped = definition.ship
        self._patterns: tuple[str, ...] | None = None

    def take(self, name: str) -> Digest:
        """See `SpecFiles.take`."""
        return self._known.get(name) or super().take(name)

    def shipped(self, patterns: tuple[str, ...]) -> tuple[ShippedDef, ...] | None:
        """See `SpecFiles.shipped`. The spec before the edits is resolved first."""
        if self._patterns is None:
            self._patterns = patterns
        return self._shipped if patterns == self._patterns else None


class _KnownInputs(InputReader):
    """Gives the inputs that the job was submitted with.

    With `is_fresh`, defaults are read again; one whose files are gone is as it was.
    """

    def __init__(self, folder: Path, definition: JobDef, *, is_fresh: bool) -> None:
        super().__init__(folder)
        self._is_fresh = is_fresh
        self._known = {
            (name, found.source): found
            for read in (definition.read, *(step.read for step in walk_steps(definition.steps)))
            for name, found in read.items()
            if found.default
        }

    def read(self, request: ReadRequest) -> ReadInput:
        """See `InputReader.read`."""
        known = None
        if request.is_default:
            known = self._known.get((request.name, source_of(request)))
        if known is None:
            return super().read(request)
        try:
            return super().read(request) if self._is_fresh else known
        except NotThere:
            return known


def read_source(ledger: LedgerReader, state: JobState) -> str:
    """The job's spec as its author wrote it."""
    assert state.submitted is not None
    return str(ledger.read_payload(state.submitted.source))


def tags_in(source: str) -> tuple[str, ...]:
    """The tags of a spec; none if this version of orc cannot read it."""
    try:
        return tuple(examine(source, source_name="")[0].job.tags)
    except SpecError:
        return ()


def as_recorded(ledger: LedgerReader, state: JobState, spec_dir: Path | None = None) -> Edited:
    """The job without edits; `spec_dir` replaces the recorded folder of its spec."""
    submitted = state.submitted
    assert submitted is not None
    source = read_source(ledger, state)
    folder = spec_dir or spec_folder(submitted, ledger.path)
    return Edited(state.definition, source, submitted.source_name, folder)


def edit_job(
    ledger: LedgerReader,
    state: JobState,
    *,
    path: Path | None = None,
    change: Callable[[str], str] = str,
    inputs: Mapping[str, Any],
    environment: Mapping[str, str],
    ask: Ask = ask_nothing,
    spec_dir: Path | None = None,
) -> Edited:
    """The job with the spec in the file `path`, or with its own spec, edited.

    `spec_dir` replaces the folder of the spec. `change` edits the text of the spec; `inputs` override
    the job's inputs, and `ask` completes them. Raises SpecError, UsageProblem.
    """
    recorded = state.definition
    before = as_recorded(ledger, state, spec_dir)
    text, name, folder = before.text, before.source_name, before.spec_dir
    known_files = _KnownFiles(folder, recorded)
    files: SpecFiles = known_files
    known_inputs = _KnownInputs(folder, recorded, is_fresh=False)
    if path is not None:
        text, name = read_spec_file(path)
        folder = spec_dir or spec_dir_of(Submission(path=path))
        files = SpecFiles(folder)
    reader = _KnownInputs(folder, recorded, is_fresh=path is not None)
    text = change(text)
    spec, _ = examine(text, source_name=name)
    if spec.job.project != recorded.project:
        raise UsageProblem(
            f"{name}: the project is {spec.job.project!r}, but the job's files are under its project "
            f"{recorded.project!r}; keep the project, or submit a new job with orc run"
        )
    given = _given_inputs(before.text, recorded)

    def resolve(provider: str | None) -> JobDef | None:
        """The spec before the edits, under the current settings; None if it is invalid under them."""
        submission = Submission(text=before.text, provider=provider, inputs=given)
        try:
            return prepare(submission, environment, files=known_files, inputs=known_inputs)[1]
        except SpecError:
            return None

    # The option --provider of the submission is not recorded, only the resulting provider and
    # model. Find the option that gives the same result.
    by_name = recorded.provider
    switches = (None, by_name, by_name if by_name == REPLAY else f"{by_name}/{recorded.model}")
    for switched in switches:
        base = resolve(switched)
        if base is not None and (base.provider, base.model) == (by_name, recorded.model):
            break
    kept = {key: value for key, value in given.items() if key in spec.job.inputs}
    completed = ask(spec.job.inputs, {**kept, **inputs})
    submission = Submission(text=text, name=name, provider=switched, inputs=completed)
    _, definition = prepare(submission, environment, files=files, inputs=reader)
    if base is not None:
        definition = rebase(recorded, base, definition)
    # Before the definitions are compared: what is recorded is masked.
    definition = reader.hide(read_mask(definition, environment, steps=()), definition)
    found = tuple(files.named())
    return Edited(definition, text, clean_text(name), folder, found, reader)


def without_secrets(mask: Mask, edited: Edited) -> Edited:
    """The job with secrets hidden in its inputs. Raises SpecError if the spec contains a secret."""
    definition = hide_in_inputs(mask, edited.definition)
    refuse_secrets_in_spec(mask, definition, edited.text, edited.source_name, edited.files)
    return replace(edited, definition=definition)


def _given_inputs(source: str, recorded: JobDef) -> dict[str, Any]:
    """The job's inputs whose values are not the defaults of the spec."""
    try:
        declared = examine(source, source_name="")[0].job.inputs
    except SpecError:
        return {**recorded.inputs, **recorded.read}
    read = {name: found for name, found in recorded.read.items() if not found.default}
    return read | {
        name: value
        for name, value in recorded.inputs.items()
        if name not in declared or declared[name].default != value
    }
