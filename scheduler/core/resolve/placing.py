"""Resolves where each command and function runs: its executor, and what it needs there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orc.ledger.definition import LOCAL, StepDef, walk_steps
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.resolve.prompt import Report, Settings
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.spec.check_placing import no_workspace, why_here
from orc.scheduler.core.spec.model import JobSpec, StepSpec
from orc.scheduler.core.spec.resources import ResourcesSpec


def default_executor(job: JobSpec, around: str | None) -> str | None:
    """The executor of the steps that name none; `around` is that of the spec around a workflow."""
    return job.defaults.executor or job.executor or around


class Placing:
    """Resolves the executors of a spec's steps, and reports what does not fit together."""

    def __init__(self, settings: Settings, default: str | None, *, report: Report) -> None:
        self._settings = settings
        self.default = default
        self._report = report

    def fields(
        self, step_id: str, step: StepSpec, path: Path, *, workspace: str | None, folder: str
    ) -> dict[str, Any]:
        """The fields of the definition of a command or function.

        `workspace` is that of the group around it, `folder` that of the file in which it is written.
        """
        executor = self._executor_of(step_id, step)
        place = (*path, "executor") if step.executor is not None else path
        names = self._settings.executor_names
        if executor != LOCAL and names is not None and executor not in names:
            self._report(
                f"{dotted(path)}.executor: unknown executor {executor!r}"
                f"{nearest(executor, names)}; `local` is this machine, and executors.yaml names others",
                *place,
            )
        elif executor in self._settings.providers:
            self._report(
                f"{dotted(path)}.executor: {executor!r} is the name of a provider, so that a limit "
                "in `concurrency` would hold for both; rename the executor",
                *place,
            )
        is_checked = step.workspace is not None and step.executor is not None
        if executor != LOCAL and workspace is not None and not is_checked:
            self._report(f"{dotted(path)}.workspace: {no_workspace(executor)}", *path)
        if executor != LOCAL and folder.startswith(("..", "/")):
            self._report(
                f"{dotted(path)}: the step is written in {folder}, outside of the spec's folder, and "
                f"only files of the spec's folder can be shipped to {executor!r}; move it there",
                *path,
            )
        return {
            "executor": executor,
            "resources": _amounts(step.resources),
            "labels": tuple(dict.fromkeys(step.labels or ())),
            "queue_timeout_s": step.queue_timeout,
        }

    def check_given(self, steps: Iterable[StepDef]) -> None:
        """Report each step for which the caller names an executor and that can have none."""
        known: dict[str, StepDef] = {}
        for step in walk_steps(steps):
            # Steps in two groups may have one id, and only one of them a command.
            if step.id not in known or step.facts.runs_code:
                known[step.id] = step
        for name in sorted(set(self._settings.executors) - {""}):
            if name not in known:
                self._report(f"--executor: there is no step {name!r}{nearest(name, known)}")
            elif not known[name].facts.runs_code:
                self._report(
                    f"--executor: step {name!r} has neither run nor python: "
                    f"{why_here(known[name].facts)}"
                )

    def _executor_of(self, step_id: str, step: StepSpec) -> str:
        given = self._settings.executors
        return given.get(step_id) or given.get("") or step.executor or self.default or LOCAL


def executors_in(steps: Iterable[StepDef]) -> set[str]:
    """The executors of the steps and of all steps inside them."""
    return {step.executor for step in walk_steps(steps) if step.facts.runs_code}


def _amounts(resources: ResourcesSpec | None) -> dict[str, tuple[float, ...]]:
    if resources is None:
        return {}
    given = resources.model_dump(exclude_none=True)
    return {name: tuple(float(amount) for amount in amounts) for name, amounts in given.items()}
