"""Which relative paths a step may write: inside the folder, and valid on every file system.

Paths are checked when the spec is read, and again after rendering, because a template can insert
a model's text. The rules are those of the agent on a worker, which has nothing else of orc.
"""

from __future__ import annotations

from orc.ledger.wording import count_text
from orc.worker.capture_rules import PART_BYTES_MAX, PATH_BYTES_MAX, path_problem, variable_in

__all__ = [
    "PART_BYTES_MAX",
    "PATH_BYTES_MAX",
    "folder_problem",
    "path_problem",
    "program_problem",
    "written_problem",
]

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


def program_problem(name: str) -> str:
    """Why no program can have this name, which no shell reads; empty if one can."""
    known = name.partition("${{")[0]
    found = variable_in(known) or ("~" if known.startswith("~") and "/" in known else None)
    if found is None:
        return ""
    return (
        f"{name[:80]!r}: {found} is not replaced in a list of words, which no shell reads; write the "
        "command as a text, or the whole path"
    )


def folder_problem(path: str) -> str:
    """Why no system can have a folder at this absolute path; empty if one can, as far as is known."""
    long = next((part for part in path.split("/") if len(part.encode()) > _NAME_BYTES_MAX), None)
    if long is not None:
        most = count_text(_NAME_BYTES_MAX, "byte")
        return f"the name {long[:40]!r}... has more than {most}; shorten it"
    if len(path.encode()) > _FOLDER_BYTES_MAX:
        return f"the path has more than {count_text(_FOLDER_BYTES_MAX, 'byte')}; shorten it"
    return ""
