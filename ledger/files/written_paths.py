"""Paths as people write them: in options, variables, specs and site files.

One rule for all. `~` and `~user` mean what they mean in a shell, which does not expand them after
`--db=`, in a variable or in a file. `$HOME` is refused: whether a variable is meant, and whose, is
not known any more when a file is read on another machine.
"""

from __future__ import annotations

import os
from pathlib import Path

from orc.ledger.errors import UnclearPath


def current_folder() -> Path | None:
    """The current folder; None if it was removed. A command with only absolute paths needs none."""
    try:
        return Path(os.getcwd())
    except FileNotFoundError:
        return None


def written_path(text: str | os.PathLike[str], *, of: str = "") -> Path:
    """The path that is meant; `of` names the option or variable in messages.

    Raises UnclearPath for a home folder that is not known, and for a variable.
    """
    named = os.fspath(text)
    begin = f"{of}: " if of else ""
    variable = _variable_in(named)
    if variable is not None:
        raise UnclearPath(
            f"{begin}{named!r}: {variable} is not replaced in a path; write ~ for your home folder, "
            "or the whole path"
        )
    found = os.path.expanduser(named)
    if named.startswith("~") and found == named:
        home = named.partition("/")[0]
        raise UnclearPath(
            f"{begin}{named!r}: the home folder {home} is not known; write the whole path, or "
            f"'./{named}' for a file of that name"
        )
    return Path(found)


def _variable_in(path: str) -> str | None:
    if "$" not in path:
        return None
    # Imported here, since every command reads a path, and few paths have a variable.
    from orc.worker.capture_rules import variable_in

    return variable_in(path)
