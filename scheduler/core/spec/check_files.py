"""What the files and the environment of steps may be called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orc.ledger.kinds import facts_of
from orc.scheduler.core.errors import Problem
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.language.templates import has_template
from orc.scheduler.core.paths import path_problem
from orc.scheduler.core.spec.model import StepSpec, kind_of
from orc.scheduler.core.spec.yaml_source import Document, Path, dotted

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


def check_files(path: Path, step: StepSpec, document: Document) -> Iterator[Problem]:
    for index, file in enumerate(step.files):
        where = f"{dotted(path)}.files[{index}]"
        place = document.place((*path, "files", index))
        if (file.path is None) == (file.glob is None):
            yield Problem(f"{where}: has either `path` or `glob`", *place)
            continue
        if file.glob is not None and file.content is not None:
            yield Problem(f"{where}: `content` goes with `path`, not with `glob`", *place)
        if file.glob is not None and not facts_of(kind_of(step)).runs_code:
            yield Problem(
                f"{where}: only commands and functions leave files to capture; "
                f"to write the step's text, say {{path: {file.glob!r}}}",
                *place,
            )
        name = file.path if file.path is not None else file.glob
        if name is not None and not has_template(name):
            reason = path_problem(name, glob=file.glob is not None)
            if reason:
                yield Problem(f"{where}: {reason}", *place)


def check_env(
    name: str, value: str | None, path: Path, document: Document, *, templates: bool
) -> Iterator[Problem]:
    where = ".".join(map(str, path))
    if not ENV_NAME.match(name):
        yield Problem(f"{where}: not a variable's name", *document.place(path, key=True))
    if value is not None and has_template(value) and not templates:
        yield Problem(f"{where}: templates work in a step's own env only", *document.place(path))


def check_owners(steps: Mapping[str, StepSpec], document: Document) -> Iterator[Problem]:
    """Paths that cannot stand beside each other, as far as it shows before they are written."""
    names = FileNames()
    owners: dict[str, str] = {}
    for step_id, step in steps.items():
        for index, file in enumerate(step.files):
            if file.path is None or has_template(file.path):
                continue
            other = file.path if file.path in owners else names.clash(file.path)
            if other is not None:
                where = f"steps.{step_id}.files[{index}]: {file.path!r}"
                reason = f"cannot stand beside {other!r}, which {owners[other]!r} writes"
                if other == file.path:
                    reason = f"is written by {owners[other]!r} already"
                place = document.place(("steps", step_id, "files", index))
                yield Problem(f"{where} {reason}", *place)
                continue
            names.add(file.path)
            owners[file.path] = step_id
