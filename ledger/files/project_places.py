"""Where the places of a job are: the folder of its spec, its run folders, its `output_dir`.

A project may be moved or copied with its ledger. So a place is recorded relative to the folder of the
ledger if both are in one project, and otherwise as it was given; it is looked up from the ledger that
is open. Earlier versions recorded absolute paths only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

_PROJECT_PARTS_MIN = 3
"""A folder such as /srv, with its root two parts, contains more than one project."""


class Submitted(Protocol):
    """The places of `job.submitted`."""

    @property
    def spec_dir(self) -> str:
        """The folder of the spec."""

    @property
    def source_name(self) -> str:
        """The name of the spec's file, as it was given."""

    @property
    def submit_dir(self) -> str:
        """The current folder of the submission."""

    @property
    def runs_dir(self) -> str:
        """The folder for run folders."""

    @property
    def ledger_dir(self) -> str | None:
        """The folder of the ledger, at that time; None in the events of earlier versions."""


def recorded_place(place: str | Path, database: Path) -> str:
    """The place as events record it: a path relative to the ledger's folder, or absolute."""
    path, base = os.path.normpath(place), str(database.parent)
    if not os.path.isabs(path):
        return path
    for name in (path, os.path.realpath(path)):
        common = os.path.commonpath([name, base])
        if common == base or _is_project(Path(common)):
            return os.path.relpath(name, base)
    return path


def recorded_target(place: str | Path, database: Path, *, given_in: Path) -> str:
    """A place to write to, as events record it: relative in the ledger's folder and in `given_in`.

    That is the folder in which the place was named. A folder elsewhere stays where it is, since a ledger
    that is moved without it must not make another one; unless it was named by `..`, and so relative.
    """
    if ".." in Path(place).parts:
        return recorded_place(place, database)
    path = os.path.normpath(place)
    if not os.path.isabs(path):
        return path
    folders = (str(database.parent), str(given_in))
    is_within = any(os.path.commonpath([path, folder]) == folder for folder in folders)
    return recorded_place(path, database) if is_within else path


def place_of(recorded: str, database: Path) -> Path:
    """The absolute path of a recorded place, seen from the ledger."""
    return Path(os.path.normpath(database.parent / recorded))


def is_inside(recorded: str, database: Path) -> bool:
    """Whether the recorded place is in the ledger's folder."""
    path = place_of(recorded, database)
    return path == database.parent or database.parent in path.parents


def job_place(recorded: str, submitted: Submitted, database: Path) -> Path:
    """The absolute path of a place that the job recorded, also by an earlier version of orc.

    An absolute place that lay in the folder of its ledger has moved with the project if the spec has.
    """
    then = _folder_before(submitted, database)
    if then is None or not os.path.isabs(recorded):
        return place_of(recorded, database)
    return _moved(recorded, then, database) or Path(recorded)


def spec_folder(submitted: Submitted, database: Path) -> Path:
    """The folder of the job's spec."""
    return job_place(submitted.spec_dir, submitted, database)


def _folder_before(submitted: Submitted, database: Path) -> Path | None:
    """The folder in which the ledger of an earlier version was, if it was moved together with the spec.

    It did not record its folder. By default, it was in the folder of the submission.
    """
    then = Path(submitted.runs_dir).parent
    is_known = submitted.ledger_dir is None and then == Path(submitted.submit_dir)
    if not is_known or then == database.parent:
        return None
    spec = _moved(submitted.spec_dir, then, database)
    name = os.path.basename(submitted.source_name)
    return then if spec is not None and os.path.lexists(spec / name) else None


def _moved(recorded: str, then: Path, database: Path) -> Path | None:
    path = Path(recorded)
    if path != then and then not in path.parents:
        return None
    return database.parent / path.relative_to(then)


def _is_project(folder: Path) -> bool:
    """Whether a folder may be that of one project: not the root, not a home folder or above it."""
    home = Path(os.path.expanduser("~"))
    is_above_home = folder == home or folder in home.parents
    return len(folder.parts) >= _PROJECT_PARTS_MIN and not is_above_home
