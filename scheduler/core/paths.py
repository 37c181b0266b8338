"""Which relative paths a step may write: inside the folder, and valid on every file system.

Paths are checked when the spec is read, and again after rendering, because a template can insert
a model's text.
"""

from __future__ import annotations

import re
import unicodedata

from orc.ledger.wording import count_text

PATH_BYTES_MAX = 1024
PART_BYTES_MAX = 200
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])( *\..*)?\Z", re.IGNORECASE
)
# `git~1` is the short name of `.git` on Windows.
_GIT = re.compile(r"\.git|git~[0-9]+", re.IGNORECASE)
_OURS = ".orc-tmp"
_FORBIDDEN = set('<>:"|?*\\')
_GLOB_ALLOWED = set("*?")
_UNSEEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


def path_problem(path: str, *, glob: bool = False) -> str:
    """Why the path is not allowed; empty if it is."""
    if not path:
        return "the path is empty"
    if path.startswith(("/", "~")):
        return f"{path[:80]!r} must be relative to the output folder"
    if len(path.encode("utf-8", "replace")) > PATH_BYTES_MAX:
        return f"the path has more than {count_text(PATH_BYTES_MAX, 'byte')}"
    for part in path.split("/"):
        reason = _part_problem(part, glob=glob)
        if reason:
            return f"{path[:80]!r}: {reason}"
    return ""


def _part_problem(part: str, *, glob: bool) -> str:
    if part in ("", "."):
        return "the path has an empty part or a part `.`"
    if part == "..":
        return "`..` would leave the output folder"
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
    if _RESERVED.match(part):
        return "the file name is reserved on Windows"
    if part.casefold().endswith(_OURS):
        return f"a file name must not end in {_OURS}: orc removes such files as unfinished"
    if len(part.encode()) > PART_BYTES_MAX:
        return f"a file name has more than {count_text(PART_BYTES_MAX, 'byte')}"
    return ""
