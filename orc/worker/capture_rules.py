"""The rules for captured files: which paths are allowed, and what a glob matches.

The scheduler and the agent on a worker follow the same rules. A path must be inside its folder and
valid on every file system. Pure functions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

FILES_MAX = 100_000
"""The maximum number of files that one attempt may leave."""
PATH_BYTES_MAX = 1024
PART_BYTES_MAX = 200
DEPTH_MAX = 64
"""The maximum depth of listed folders; deeper files are left out."""

_VARIABLE = re.compile(r"(?:^|/)(\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[^/}]*\}))")
_LETTERS = re.compile("[A-Za-z0-9_-]+")
"""Characters that every file system has."""
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])( *\..*)?\Z", re.IGNORECASE
)
# `git~1` is the short name of `.git` on Windows.
_GIT = re.compile(r"\.git|git~[0-9]+", re.IGNORECASE)
_OURS = ".orc-tmp"
_FORBIDDEN = set('<>:"|?*\\')
_GLOB_ALLOWED = set("*?")
_UNSEEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


def variable_in(path: str) -> str | None:
    """The variable of a shell that a part of the path begins with: `$HOME`; None without one."""
    found = _VARIABLE.search(path)
    return None if found is None else found[1]


def path_problem(path: str, *, glob: bool = False, folder: str = "the output folder") -> str:
    """Why the path is not allowed; empty if it is. `folder` is where it must be, in messages."""
    if glob:
        # A folder with everything in it.
        path = path.removesuffix("/") or path
    if not path:
        return "the path is empty"
    if path.startswith(("/", "~")):
        return f"{path[:80]!r} must be relative to {folder}"
    if len(path.encode("utf-8", "replace")) > PATH_BYTES_MAX:
        return "the path has more than 1,024 bytes"
    for part in path.split("/"):
        reason = f"`..` would leave {folder}" if part == ".." else _part_problem(part, glob=glob)
        if reason:
            return f"{path[:80]!r}: {reason}"
    return ""


def is_name(glob: str) -> bool:
    """Whether the glob is the name of one file or folder, without a wildcard."""
    return not _GLOB_ALLOWED & set(glob)


def is_folder_name(glob: str) -> bool:
    """Whether the glob is the name of a folder, as its last `/` tells."""
    return glob.endswith("/") and is_name(glob)


def glob_pattern(glob: str) -> re.Pattern[str]:
    """A regular expression for the files that the glob matches.

    `*` and `?` match within one part of a path; `**` matches any number of parts, and so does a `/`
    at the end.
    """
    *folders, name = _parts(glob)
    last = "(?:[^/]+/)*[^/]+" if name == "**" else _part_pattern(name)
    return re.compile(_folders_pattern(folders) + last)


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path matches one of the globs."""
    patterns = [glob_pattern(glob) for glob in globs]
    return lambda path: any(pattern.fullmatch(path) for pattern in patterns)


def folder_matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a folder can contain a file that matches one of the globs."""
    known = []
    for glob in globs:
        *folders, name = _parts(glob)
        parts = [*folders, name] if name == "**" else folders
        known.append([part if part == "**" else re.compile(_part_pattern(part)) for part in parts])

    def enters(folder: str) -> bool:
        parts = folder.split("/")
        return any(_begins(parts, pattern) for pattern in known)

    return enters


def folder_glob(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a folder is declared as such, so that it is kept if it is empty.

    Those are the folders of a glob that ends in `/` or `/**`, and all folders inside them.
    """
    patterns = []
    for glob in globs:
        *folders, name = _parts(glob)
        if name == "**":
            inside = re.compile(f"{_folders_pattern(folders)}(?:[^/]+/)*[^/]+")
            patterns.append(inside)
            if folders:
                patterns.append(re.compile(_folders_pattern(folders).removesuffix("/")))
    return lambda path: any(pattern.fullmatch(path) for pattern in patterns)


def has_folder_glob(globs: Iterable[str]) -> bool:
    """Whether one of the globs declares folders (`folder_glob`)."""
    return any(_parts(glob)[-1] == "**" for glob in globs)


def _parts(glob: str) -> list[str]:
    return (f"{glob}**" if glob.endswith("/") else glob).split("/")


def _folders_pattern(folders: Iterable[str]) -> str:
    """A regular expression for the parts before the last one, each with its `/`."""
    return "".join("(?:[^/]+/)*" if part == "**" else _part_pattern(part) + "/" for part in folders)


def _begins(parts: list[str], pattern: list[str | re.Pattern[str]]) -> bool:
    for index, part in enumerate(parts):
        if index == len(pattern):
            return False
        expected = pattern[index]
        if isinstance(expected, str):
            return True
        if not expected.fullmatch(part):
            return False
    return True


def _part_problem(part: str, *, glob: bool) -> str:
    if _LETTERS.fullmatch(part):
        # Most often: a part that could only be reserved, or too long.
        return _stem_problem(part)
    if part in ("", "."):
        return "the path has an empty part or a part `.`"
    if _GIT.fullmatch(part):
        return "files in .git are not allowed, because git runs commands from them"
    forbidden = _FORBIDDEN - _GLOB_ALLOWED if glob else _FORBIDDEN
    for character in part:
        if character in forbidden or unicodedata.category(character) in _UNSEEN:
            return f"the character {character!a} is not allowed in a file name"
    if unicodedata.normalize("NFC", part) != part:
        return "the path is not in Unicode normalization form C (NFC)"
    if part.endswith((" ", ".")) or part.startswith(" "):
        return "a file name must not end in a dot or a space, or start with a space"
    if part.casefold().endswith(_OURS):
        return f"a file name must not end in {_OURS}: orc removes such files as unfinished"
    return _stem_problem(part)


def _stem_problem(part: str) -> str:
    if _RESERVED.match(part):
        return "the file name is reserved on Windows"
    if len(part.encode()) > PART_BYTES_MAX:
        return "a file name has more than 200 bytes"
    return ""


def _part_pattern(part: str) -> str:
    wild = {"*": "[^/]*", "?": "[^/]"}
    return "".join(wild.get(character) or re.escape(character) for character in part)
