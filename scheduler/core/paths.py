"""Which relative paths a step may write: inside the folder, and valid on every file system.

Paths are checked when the spec is read, and again after rendering, because a template can insert
a model's text. The rules are those of the agent on a worker, which has nothing else of orc.
"""

from __future__ import annotations

from orc.ledger.wording import count_text
from orc.worker.capture_rules import PART_BYTES_MAX, PATH_BYTES_MAX, path_problem, variable_in

__all__ = ["PART_BYTES_MAX", "PATH_BYTES_MAX", "folder_problem", "path_problem", "written_problem"]

_NAME_BYTES_MAX = 255
_FOLDER_BYTES_MAX = 4096 - PATH_BYTES_MAX
"""Linux opens no path of 4,096 bytes, and the folder has files with paths of their own."""


def written_problem(path: str, *, glob: bool = False, folder: str = "the output folder") -> str:
    """Why a path of a spec is not allowed, as `path_problem`; empty if it is.

    Of a path with templates, only what comes before them is known. A variable of a shell is refused:
    nothing replaces it, and a folder of that name would be made. A command may make one.
    """
    known, template, _ = path.partition("${{")
    variable = variable_in(known)
    if variable is not None:
        return (
            f"{path[:80]!r}: {variable} is not replaced in a path; it must be relative to {folder}"
        )
    if not template:
        return path_problem(path, glob=glob, folder=folder)
    return path_problem(path, folder=folder) if known.startswith(("/", "~")) else ""


def folder_problem(path: str) -> str:
    """Why no system can have a folder at this absolute path; empty if one can, as far as is known."""
    long = next((part for part in path.split("/") if len(part.encode()) > _NAME_BYTES_MAX), None)
    if long is not None:
        most = count_text(_NAME_BYTES_MAX, "byte")
        return f"the name {long[:40]!r}... has more than {most}; shorten it"
    if len(path.encode()) > _FOLDER_BYTES_MAX:
        return f"the path has more than {count_text(_FOLDER_BYTES_MAX, 'byte')}; shorten it"
    return ""
