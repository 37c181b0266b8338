"""Reads the files that a spec ships: those of its folder that match the patterns of `ship`."""

from __future__ import annotations

from orc.cli.jobs.caller.spec_files import SpecFiles
from orc.ledger.definition import ShippedDef
from orc.ledger.files.folder import Folder
from orc.ledger.files.modes import mode_of
from orc.ledger.wording import number_text, size_text
from orc.scheduler.core.paths import path_problem
from orc.scheduler.folders.globs import Globs

FILES_MAX = 10_000
BYTES_MAX = 256 * 1024**2
"""All of them are read into memory, and recorded with the job."""


def read_shipped(files: SpecFiles, patterns: tuple[str, ...]) -> tuple[ShippedDef, ...]:
    """Read the files of the spec's folder that match; links are neither followed nor shipped.

    Raises ValueError for a pattern without a file, and for files that are too many or too large.
    """
    known = files.shipped(patterns)
    if known is not None:
        return known
    globs, own = Globs(patterns), Folder(files.folder, private=False)
    others: list[str] = []
    left = own.files(enters=globs.may_enter, others=others)
    found = [path for path in left if globs.match(path)]
    for pattern in patterns:
        one = Globs([pattern])
        if not any(map(one.match, found)):
            links = [path for path in sorted(others) if one.match(path)]
            why = f": {links[0]} is a link or a special file; put a copy there" if links else ""
            raise ValueError(f"{files.folder} has no file that matches {pattern!r}{why}")
    if len(found) > FILES_MAX:
        raise ValueError(
            f"{number_text(len(found))} files match; the maximum is {number_text(FILES_MAX)}"
        )
    shipped = []
    total = 0
    for path in found:
        reason = path_problem(path)
        status = own.stat(path)
        if reason or status is None:
            raise ValueError(reason or f"cannot read {path}: it is not there any more")
        total += status.st_size
        if total > BYTES_MAX:
            raise ValueError(f"the files have more than {size_text(BYTES_MAX)} together")
        digest = files.take(path)
        size = len(files.contents[digest])
        shipped.append(ShippedDef(path=path, sha256=digest, size_bytes=size, mode=mode_of(status)))
    return tuple(shipped)
