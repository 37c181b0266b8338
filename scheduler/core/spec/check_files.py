"""Checks the `files` and `env` of steps: paths, globs, and names of variables.

With `cwd: spec`, files that the command writes where it starts could not be captured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orc.ledger.kinds import facts_of
from orc.scheduler.core.errors import Problem
from orc.scheduler.core.language.templates import has_template
from orc.scheduler.core.paths import written_problem
from orc.scheduler.core.shell.code_variables import code_problem, is_code_variable
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.model import JobSpec, StepSpec, kind_of

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


def check_files(path: Path, step: StepSpec, document: Document) -> Iterator[Problem]:
    for index, file in enumerate(step.files):
        where = f"{dotted(path)}.files[{index}]"
        place = document.place((*path, "files", index))
        if (file.path is None) == (file.glob is None):
            yield Problem(f"{where}: must have either `path` or `glob`", *place)
            continue
        if file.glob is not None and file.content is not None:
            yield Problem(f"{where}: `content` is allowed with `path` only", *place)
        if file.path is not None and file.required is not None:
            yield Problem(
                f"{where}: `required` is allowed with `glob` only; a file that the step itself "
                "writes is always there",
                *place,
            )
        if file.glob is not None and not facts_of(kind_of(step)).runs_code:
            yield Problem(
                f"{where}: `glob` is allowed for commands and functions only; "
                f"to write the step's text, use {{path: {file.glob!r}}}",
                *place,
            )
        name = file.path if file.path is not None else file.glob
        if name is not None:
            reason = written_problem(name, glob=file.glob is not None)
            if reason:
                yield Problem(f"{where}: {reason}", *place)


def check_cwd(path: Path, step: StepSpec, document: Document, job: JobSpec) -> Iterator[Problem]:
    """Problems of a command that starts in the spec's folder and has files to capture.

    They are captured from the working folder, so that the command must name it.
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


def check_env(name: str, value: str | None, path: Path, document: Document) -> Iterator[Problem]:
    where = dotted(path)
    if not ENV_NAME.match(name):
        yield Problem(
            f"{where}: not a valid name of a variable: use letters, digits and underscores",
            *document.place(path, key=True),
        )
    if value is not None and has_template(value) and is_code_variable(name):
        yield Problem(f"{where}: {code_problem(name)}", *document.place(path))
