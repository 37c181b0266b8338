"""The actions of the pages of `orc browse --allow-actions`, with the use cases of the commands.

Each runs in a thread of the server, and waits until what it does is an event of the ledger. Whatever
a command would report as an error becomes the message of a page.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from orc.about import version
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.acting.changes import (
    fork_in_background,
    rerun_in_background,
    resume_in_background,
)
from orc.cli.jobs.acting.input_forms import fields_of, read_fields
from orc.cli.jobs.acting.runner import StartRunner, start_runner
from orc.cli.jobs.acting.spec_folder import SpecFolder
from orc.cli.jobs.caller.spec_files import read_spec_file
from orc.cli.jobs.cancel import cancel
from orc.cli.jobs.places import Places
from orc.cli.jobs.prepare import Submission
from orc.cli.jobs.submit import submit
from orc.cli.jobs.sync import run_sync
from orc.cli.named_secrets import hide_named_secrets
from orc.cli.output_mask import mask_output
from orc.ledger import LedgerReader, failpoints
from orc.ledger.command_lines import ledger_named
from orc.ledger.errors import LedgerError, OwnedElsewhere
from orc.ledger.events import JobSubmitted
from orc.ledger.files.project_places import spec_folder
from orc.ledger.files.written_paths import current_folder
from orc.projections.history.definitions import read_spec
from orc.projections.pages.actions import ForkRequest, InputField, SpecFile, SpecForm, StartRequest
from orc.projections.pages.decisions import RequestRefused
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.spec.model import InputSpec
from orc.scheduler.core.spec.parse import examine

ProblemLines = Callable[[SpecError], Iterable[str]]
"""Words the problems of a spec, each with its line and a caret."""

_ONCE_MAX = 1_000
_REASON_CHARS_MAX = 10_000


class BrowserActions:
    """See `projections/pages/actions.py`. `specs` is the folder whose specs may be started."""

    def __init__(
        self,
        places: Places,
        specs: Path | None,
        problem_lines: ProblemLines,
        *,
        start_runner: StartRunner = start_runner,
    ) -> None:
        self._places = places
        self._start_runner = start_runner
        self._specs = None if specs is None else SpecFolder(specs, places.runs_dir)
        self._problem_lines = problem_lines
        self._done: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    @property
    def has_specs(self) -> bool:
        """Whether there is a folder of specs."""
        return self._specs is not None

    def resume(self, job_id: str) -> None:
        """Continue a job."""
        with self._refusing():
            resume_in_background(job_id, self._places, os.environ, start_runner=self._start_runner)

    def cancel(self, job_id: str, reason: str | None) -> None:
        """Cancel a job, and wait until it has ended."""
        if reason is not None and len(reason) > _REASON_CHARS_MAX:
            raise RequestRefused("the reason is too long; shorten it", status=413)
        with self._refusing():
            ended = run_sync(cancel, job_id, places=self._places, reason=reason)
            if ended.had_ended and ended.status != "cancelled" and not ended.is_withdrawn:
                raise UsageProblem(
                    f'{job_id} has already ended: {ended.status}; use "Run steps again"'
                )

    def rerun(self, job_id: str, steps: tuple[str, ...]) -> None:
        """Run steps of a job again, with all their dependents."""
        with self._refusing():
            rerun_in_background(
                job_id, steps, self._places, os.environ, start_runner=self._start_runner
            )

    def fork_fields(self, job_id: str) -> tuple[InputField, ...]:
        """The fields of a job's inputs, with the values of the job."""
        with self._refusing():
            declared, given, _ = self._inputs_of(job_id)
            return fields_of(declared, given)

    def fork(self, wanted: ForkRequest) -> str:
        """Make a new job that differs; its id."""
        with self._refusing(), self._once(wanted.once) as done:
            if done.result is None:
                declared, given, folder = self._inputs_of(wanted.job_id)
                done.result = fork_in_background(
                    wanted.job_id,
                    self._places,
                    os.environ,
                    start=wanted.start,
                    sets=wanted.sets,
                    inputs=read_fields(declared, wanted.inputs, folder, shown=given),
                    on_job=done.keep,
                    start_runner=self._start_runner,
                )
            return done.result

    def list_specs(self) -> list[SpecFile]:
        """The specs of the folder, by name."""
        assert self._specs is not None
        found = []
        for name in self._specs.names():
            project, task, problems = "", "", 1
            with suppress(SpecError, UsageProblem):
                text, source = read_spec_file(self._specs.path / name)
                spec, faults = examine(text, source_name=source)
                project, task = spec.job.project, spec.job.task_description or ""
                problems = len(faults)
            found.append(SpecFile(name, project, task, problems))
        return found

    def spec_form(self, name: str) -> SpecForm:
        """The form of a spec of the folder."""
        with self._refusing(status=404):
            assert self._specs is not None
            path = self._specs.file(name)
            self._hide(path)
            try:
                text, source = read_spec_file(path)
                spec, problems = examine(text, source_name=source)
            except SpecError as error:
                return SpecForm(name, "", (), tuple(self._problem_lines(error)))
            lines = tuple(self._problem_lines(SpecError(source, problems))) if problems else ()
            return SpecForm(name, mask_output(text), fields_of(spec.job.inputs), lines)

    def start(self, wanted: StartRequest) -> str:
        """Start a spec of the folder as a job; its id."""
        with self._refusing(), self._once(wanted.once) as done:
            if done.result is not None:
                return done.result
            assert self._specs is not None
            path = self._specs.file(wanted.spec)
            self._hide(path)
            text, source = read_spec_file(path)
            spec, problems = examine(text, source_name=source)
            if problems:
                raise SpecError(source, problems)
            declared = spec.job.inputs
            job_id = submit(
                Submission(
                    path=_from_here(path),
                    provider=wanted.provider,
                    inputs=read_fields(declared, wanted.inputs, path.parent),
                ),
                places=self._places,
                environment=os.environ,
                version=version(),
                runs_here=True,
            )
            done.keep(job_id)
            failpoints.hit("acting.recorded")
            self._start_runner(self._places, job_id, os.environ)
            return job_id

    def _inputs_of(self, job_id: str) -> tuple[dict[str, InputSpec], dict[str, Any], Path]:
        """What a job's spec declares, the values of the job, and the folder of its spec."""
        with LedgerReader.open(self._places.database) as ledger:
            seen = read_spec(ledger, job_id)
            first = ledger.read_event(job_id, 1).event
            assert isinstance(first, JobSubmitted), first.type
            folder = spec_folder(first, ledger.path)
        if seen.source is None or seen.definition is None:
            raise UsageProblem(
                f"the spec of {job_id} cannot be read: {seen.lost}; use the command line, with --spec"
            )
        declared = examine(seen.source, source_name=seen.source_name)[0].job.inputs
        # What was read is shown by its place; rows that were given have none. Left so, it stays.
        places = {
            name: "" if found.type == "table" and not found.files else found.source
            for name, found in seen.definition.read.items()
        }
        values = {**seen.definition.inputs, **places}
        return dict(declared), {name: values[name] for name in declared if name in values}, folder

    def _hide(self, path: Path) -> None:
        """Hide the secrets that a spec names in what the page shows of it."""
        hide_named_secrets([str(path)], os.environ)

    @contextmanager
    def _once(self, key: str) -> Iterator[_Done]:
        """Do something once for each form: the second time, its result is known."""
        with self._lock:
            yield _Done(self._done, key)

    @contextmanager
    def _refusing(self, status: int = 409) -> Iterator[None]:
        """Turn what a command reports into a refusal with the same message."""
        try:
            with ledger_named(self._places.database):
                yield
        except SpecError as error:
            lines = tuple(self._problem_lines(error))
            title = "The spec is invalid."
            if all(found.message.startswith("inputs.") for found in error.problems):
                title = "The inputs do not fit the spec."
                # The form has a field for each input; the place in the spec says nothing about it.
                lines = tuple(
                    mask_output(found.message.removeprefix("inputs.")) for found in error.problems
                )
            elif all(
                found.message.startswith("provider: ") for found in error.problems
            ) and not any(found.line for found in error.problems):
                title = "The provider cannot be used."
                lines = tuple(
                    mask_output(found.message.removeprefix("provider: "))
                    for found in error.problems
                )
            raise RequestRefused(title, status=422, lines=lines) from error
        except (UsageProblem, OwnedElsewhere) as error:
            raise RequestRefused(mask_output(str(error)), status=status) from error
        except (EnvironmentProblem, LedgerError, OSError) as error:
            raise RequestRefused(mask_output(str(error)), status=503) from error


def _from_here(path: Path) -> Path:
    """The path as it is typed in the current folder, so that the job is named by it."""
    here = current_folder()
    return path.relative_to(here) if here is not None and path.is_relative_to(here) else path


class _Done:
    """The result of a form that was sent before, if there is one."""

    def __init__(self, done: OrderedDict[str, str], key: str) -> None:
        self._done = done
        self._key = key
        self.result = done.get(key) if key else None

    def keep(self, result: str) -> None:
        """Keep the id of the new job, from the moment in which it exists."""
        if self._key:
            self._done[self._key] = result
            while len(self._done) > _ONCE_MAX:
                self._done.popitem(last=False)
