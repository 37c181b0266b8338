"""Step ids, and the names on the disk that are made of them.

An item is `x[0]` or `x[key]`, a round is `x#1`, a member of a group is `x/member`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import islice

STEP_CHARS_MAX = 4096
"""The maximum length of the id of a step with all the steps that contain it."""
KEY_CHARS_MAX = 64
"""The maximum length of the name of an item in its id."""
_KEY_DIGEST_CHARS = 12
_NAME_OF_KEY = rf"[A-Za-z_][A-Za-z0-9_-]{{0,{KEY_CHARS_MAX - 1}}}\Z"
_NO_NAME = r"[^A-Za-z0-9_-]+"
_NAME_BYTES_MAX = 255
"""What Linux and macOS allow for one name."""
_PATH_BYTES_MAX = 1024
_ADDED_BYTES = len(".artifacts")
_DIGEST_CHARS = 16


def names_of_keys(keys: Sequence[str]) -> tuple[str, ...]:
    """A name for the id of each item, from its key; a key that is such a name stays as it is.

    Any other key, and keys that differ by case only, get a part of their digest, so that the name
    of an item does not depend on the other items.
    """
    counts = Counter(key.casefold() for key in keys)
    is_name = re.compile(_NAME_OF_KEY, re.ASCII).match
    return tuple(
        key if is_name(key) and counts[key.casefold()] == 1 else _name_of_key(key) for key in keys
    )


def _name_of_key(key: str) -> str:
    digest = _digest_of(key, _KEY_DIGEST_CHARS)
    words = re.sub(_NO_NAME, "-", key).strip("-")[: KEY_CHARS_MAX - len(digest) - 2]
    name = f"{words}-{digest}" if words else digest
    return name if name[0].isalpha() or name[0] == "_" else f"_{name}"


def lineage(step_id: str) -> Iterator[str]:
    """The step's id, then the ids of the steps that contain it, innermost first: `x#2`, `x`."""
    yield step_id
    while (place := max(step_id.rfind("["), step_id.rfind("#"), step_id.rfind("/"))) > 0:
        step_id = step_id[:place]
        yield step_id


def container_of(step_id: str) -> str | None:
    """The step that directly contains this one: `x#2` for `x#2/a`; None at the top level."""
    return next(islice(lineage(step_id), 1, None), None)


def are_outer(step_ids: Iterable[str]) -> bool:
    """Whether all steps are surely at the top level, because no id has a mark of an inner one."""
    names = "\n".join(step_ids)
    return not any(mark in names for mark in "[#/")


def is_within(step_id: str, named: Set[str]) -> bool:
    """Whether the step is one of the named steps or inside one of them.

    An amendment that resets or removes the named steps applies to these steps too.
    """
    return not named.isdisjoint(lineage(step_id))


def folder_name(step_id: str) -> str:
    """The name of a step's folder for artifacts."""
    return _on_disk(step_id)


def log_name(step_id: str, attempt: int) -> str:
    """The name of an attempt's log file."""
    return _on_disk(step_id, f".{attempt}.log")


def work_name(step_id: str, attempt: int) -> str:
    """The name of an attempt's working folder. There is room for what names beside it add."""
    return _on_disk(step_id, f".{attempt}", added_bytes=_ADDED_BYTES)


def reused_log_name(step_id: str) -> str:
    """The path, below the folder of logs, of the log of a reused result."""
    path = f"{step_id}.reused.log"
    encoded = path.encode("utf-8", "replace")
    longest = max(map(len, encoded.split(b"/")))
    if longest <= _NAME_BYTES_MAX and len(encoded) <= _PATH_BYTES_MAX:
        return path
    return _on_disk(step_id, ".reused.log")


def _on_disk(step_id: str, suffix: str = "", *, added_bytes: int = 0) -> str:
    """The step's name with the suffix, as a name that every file system can hold.

    `/` becomes `.`, so `review/lint` is `review.lint`. This is unambiguous: ids have no dots. A name
    that is too long is cut and gets a digest of the whole id, after a `~`, which no id has.
    """
    name = step_id.replace("/", ".")
    room = _NAME_BYTES_MAX - added_bytes - len(suffix)
    # Ids are ASCII; those of another's ledger may be anything.
    encoded = name.encode("utf-8", "replace")
    if len(encoded) > room:
        digest = _digest_of(step_id, _DIGEST_CHARS)
        name = f"{encoded[: room - len(digest) - 1].decode('utf-8', 'ignore')}~{digest}"
    return name + suffix


def _digest_of(text: str, chars: int) -> str:
    # Imported here, since it loads slowly, and few names are cut.
    from hashlib import sha256

    return sha256(text.encode("utf-8", "replace")).hexdigest()[:chars]
