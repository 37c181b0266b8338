"""Which relative paths a step may write: plain, inside the folder, and the same on every disk.

Checked when a spec is read and again on each rendered path, because a template
can put a model's text into one.
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
# `git~1` is what Windows calls `.git` where names are short.
_GIT = re.compile(r"\.git|git~[0-9]+", re.IGNORECASE)
_OURS = ".orc-tmp"
_FORBIDDEN = set('<>:"|?*\\')
_GLOB_ALLOWED = set("*?")
_UNSEEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


def path_problem(path: str, *, glob: bool = False) -> str:
    """Why the path may not be written; empty when it may."""
    if not path:
        return "the path is empty"
    if path.startswith(("/", "~")):
        return f"{path[:80]!r} is not relative to the output folder"
    if len(path.encode("utf-8", "replace")) > PATH_BYTES_MAX:
        return f"the path is over {count_text(PATH_BYTES_MAX, 'byte')}"
    for part in path.split("/"):
        reason = _part_problem(part, glob=glob)
        if reason:
            return f"{path[:80]!r}: {reason}"
    return ""


def _part_problem(part: str, *, glob: bool) -> str:
    if part in ("", "."):
        return "it has an empty part"
    if part == "..":
        return "it leaves the output folder"
    if _GIT.fullmatch(part):
        return "what stands in .git can make git run commands"
    forbidden = _FORBIDDEN - _GLOB_ALLOWED if glob else _FORBIDDEN
    for character in part:
        if character in forbidden or unicodedata.category(character) in _UNSEEN:
            return f"the character {character!a} is not allowed in a file's name"
    if unicodedata.normalize("NFC", part) != part:
        return "it is not in Unicode normal form C"
    if part.endswith((" ", ".")) or part.startswith(" "):
        return "a name may not end in a dot or a space, or start with a space"
    if _RESERVED.match(part):
        return "the name is reserved on some systems"
    if part.casefold().endswith(_OURS):
        return f"a name that ends in {_OURS} is taken for an unfinished file, and swept away"
    if len(part.encode()) > PART_BYTES_MAX:
        return f"a name is over {count_text(PART_BYTES_MAX, 'byte')}"
    return ""
