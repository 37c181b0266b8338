"""Checks, before anything runs, that the files of the spec can be found: `--spec-dir` names them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.ledger.definition import JobDef, StepDef, walk_steps


def check_spec_dir(path: Path | None) -> Path | None:
    """The absolute path that `--spec-dir` names. Raises UsageProblem if there is no such folder."""
    if path is not None and not path.is_dir():
        raise UsageProblem(f"--spec-dir {path}: there is no such folder; name another")
    return None if path is None else path.absolute()


def require_spec_folder(folder: Path, definition: JobDef, *, steps: Collection[str]) -> None:
    """Refuse a job whose spec's folder does not exist, if one of the outermost steps needs it.

    Raises EnvironmentProblem with the option that says where it is.
    """
    if folder.is_dir():
        return
    roots = [step for step in definition.steps if step.id in steps]
    for step in walk_steps(roots):
        if _needs_folder(step):
            raise EnvironmentProblem(
                f"step {step.id!r} needs files of the spec's folder, and {folder} does not exist; "
                "if the spec was moved, name its folder with --spec-dir"
            )


def _needs_folder(step: StepDef) -> bool:
    if step.is_remote:
        return False
    words = (step.run,) if isinstance(step.run, str) else step.run or ()
    names_it = step.cwd == "spec" or any("ORC_SPEC_DIR" in word for word in words)
    return names_it or bool(step.function) or any(tool.function for tool in step.tools)
