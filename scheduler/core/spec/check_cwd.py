"""Checks `cwd: spec`: files that the command writes where it starts could not be captured."""

from __future__ import annotations

from collections.abc import Iterator

from orc.scheduler.core.errors import Problem
from orc.scheduler.core.source.yaml_source import Document, Path, dotted
from orc.scheduler.core.spec.model import JobSpec, StepSpec


def check_cwd(path: Path, step: StepSpec, document: Document, job: JobSpec) -> Iterator[Problem]:
    """Problems of a command that starts in the spec's folder and has files to capture.

    They are captured from the working folder, so that the command must be told its name.
    """
    if step.run is None or (step.cwd or job.defaults.cwd) != "spec":
        return
    texts = [step.run] if isinstance(step.run, str) else step.run
    if any("ORC_WORK_DIR" in text for text in texts):
        return
    for index, file in enumerate(step.files):
        if file.glob is not None:
            yield Problem(
                f"{dotted(path)}.files[{index}]: with `cwd: spec`, files are captured from the "
                'working folder and not from the spec\'s; let the command write to "$ORC_WORK_DIR"',
                *document.place((*path, "files", index)),
            )
