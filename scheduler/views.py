"""What `steps` is in a template: read-only mappings over the job's state, filled when looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orc.ledger import LedgerReader
from orc.ledger.events import FileRef, Payload
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.spec.references import STEP_FIELDS

ReadPayload = Callable[[Payload | None], Any]


class StepViews:
    """What each step of the job shows."""

    def __init__(self, state: JobState, *, ledger: LedgerReader, read: ReadPayload) -> None:
        self._state = state
        self._ledger = ledger
        self._read = read

    def of(self, step_id: str) -> Mapping[str, Any]:
        """The step with that whole id."""
        return _StepView(self._state, step_id, self._ledger, self._read)


class StepsView(Mapping[str, Any]):
    """`steps`: the steps that can be named from one place, by what they are called there."""

    def __init__(self, names: Mapping[str, str], views: StepViews) -> None:
        self._names = names
        self._views = views

    def __getitem__(self, name: str) -> Any:
        return self._views.of(self._names[name])

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _StepView(Mapping[str, Any]):
    """`steps.x`."""

    def __init__(
        self, state: JobState, step_id: str, ledger: LedgerReader, read: ReadPayload
    ) -> None:
        self._step = state.steps[step_id]
        self._files = state.owned.of_step(step_id)
        self._project = state.project
        self._ledger = ledger
        self._read = read

    def __getitem__(self, field: str) -> Any:
        step = self._step
        match field:
            case "output":
                return self._read(step.output)
            case "status":
                return step.status
            case "error" if step.status != "failed" or step.failure is None:
                return None
            case "error":
                assert step.failure is not None
                return {"kind": step.failure.kind, "message": step.failure.message}
            case "files":
                prefix = f"{self._project}/"
                return {
                    path.removeprefix(prefix): _FileView(owned.file, self._ledger)
                    for path, owned in self._files.items()
                }
            case "attempts":
                return step.attempts
        raise KeyError(field)

    def __contains__(self, field: object) -> bool:
        return field in STEP_FIELDS

    def __iter__(self) -> Iterator[str]:
        return iter(STEP_FIELDS)

    def __len__(self) -> int:
        return len(STEP_FIELDS)


class _FileView(Mapping[str, Any]):
    """`steps.x.files['a.md']`: `content` can be looked up, and is not listed."""

    def __init__(self, file: FileRef, ledger: LedgerReader) -> None:
        self._fields = file.model_dump()
        self._ledger = ledger

    def __getitem__(self, field: str) -> Any:
        if field != "content":
            return self._fields[field]
        try:
            return self._ledger.read_blob(self._fields["sha256"]).decode()
        except UnicodeDecodeError:
            raise TemplateError(f"{self._fields['path']} is not text") from None

    def __contains__(self, field: object) -> bool:
        return field == "content" or field in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
