"""Finds the files of the ledger that a person names: by path, by a copy on the disk, or by digest.

A file on the disk is read only to compute its digest; its content is not shown.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal

from msgspec import Struct

from orc.ledger.digest import Digest
from orc.ledger.events import FileWritten, Recorded, StepReused
from orc.ledger.file_owners import file_of
from orc.ledger.files.project_places import place_of
from orc.ledger.files.way import real_path
from orc.ledger.files.written_paths import written_path
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import read_spec
from orc.projections.tables.job_view import NEWEST_FILES, read_rows
from orc.projections.tables.rows import FileRow, JobRow

COPY_BYTES_MAX = 256 * 1024 * 1024
LISTED_MAX = 100
_HASH = re.compile(r"[0-9a-f]{4,64}\Z")
_WRITTEN = (
    "SELECT position, job_id, version, json_extract(data, '$.path') AS path, "
    "json_extract(data, '$.sha256') AS sha256 FROM events WHERE type = 'file.written' "
    "AND json_extract(data, '$.reason') IS NULL UNION ALL "
    "SELECT position, job_id, version, json_extract(value, '$.path'), "
    "json_extract(value, '$.sha256') FROM events, json_each(data, '$.files') "
    "WHERE events.type = 'step.reused'"
)

By = Literal["path", "copy", "changed", "digest", "nothing"]


class FoundFiles(Struct, frozen=True):
    """The files that a name can mean, newest first, and how they were found (`by`).

    - `copy`: the name is a file on the disk, and these files have its bytes.
    - `changed`: the name is a file on the disk that orc wrote, and its bytes were changed since;
      the first of the files is the one that was copied there.
    - `digest`: the SHA-256 of the files begins with the name. A newer file may be at their path.
    - `path`: the path of the files in the ledger is the name, or ends with it.
    - `nothing`: no file was found.

    `sha256` is the digest of the file on the disk. `is_other_copy` says that there is a file of that
    name on the disk that orc did not write; `too_large` that it was too large to be read.
    """

    by: By
    files: tuple[FileRow, ...] = ()
    sha256: str | None = None
    is_other_copy: bool = False
    too_large: bool = False


def find_files(reader: LedgerReader, name: str, *, job_id: str | None = None) -> FoundFiles:
    """The files that `name` means, of one job if `job_id` is given.

    `name` is tried as a file on the disk, then as a path in the ledger (whole or the end of one, in
    the latest job that has it), then as the first four or more digits of a SHA-256. Raises OSError
    if the file on the disk cannot be read.
    """
    disk = written_path(name)
    is_on_disk = _is_file(disk)
    if is_on_disk:
        found = _by_copy(reader, disk, job_id)
        if found is not None:
            return found
    files = _by_path(reader, name, job_id)
    if files:
        return FoundFiles("path", files, is_other_copy=is_on_disk)
    if _HASH.match(name.lower()):
        files = _by_digest(reader, name.lower(), job_id)
        if files:
            return FoundFiles("digest", files)
    too_large = is_on_disk and disk.stat().st_size > COPY_BYTES_MAX
    return FoundFiles("nothing", is_other_copy=is_on_disk, too_large=too_large)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _by_copy(reader: LedgerReader, disk: Path, job_id: str | None) -> FoundFiles | None:
    place = real_path(disk)
    size_bytes = disk.stat().st_size
    if size_bytes > COPY_BYTES_MAX and not _has_size(reader, size_bytes):
        return None
    with disk.open("rb") as opened:
        sha256 = Digest(hashlib.file_digest(opened, "sha256").hexdigest())
    files = _by_digest(reader, sha256, job_id) if reader.names_blob(sha256) else ()
    if files:
        # Several files can have the same bytes: those that were copied to this path come first.
        copied = [file for file in files if _is_copy(reader, file, place)]
        rest = [file for file in files if file not in copied]
        return FoundFiles("copy", (*copied, *rest), sha256)
    before = _copied_to(reader, place, job_id)
    return FoundFiles("changed", before, sha256) if before else None


def _has_size(reader: LedgerReader, size_bytes: int) -> bool:
    """Whether the ledger has a blob of that size, so that it is worth reading a large file."""
    query = "SELECT 1 FROM blobs WHERE size_bytes = ? LIMIT 1"
    return reader.connection.execute(query, (size_bytes,)).fetchone() is not None


def _copied_to(reader: LedgerReader, place: Path, job_id: str | None) -> tuple[FileRow, ...]:
    """The files that orc copies to that path of the disk."""
    named = _chosen(
        reader,
        "(path = ? OR path LIKE ? ESCAPE '\\')",
        job_id,
        place.name,
        f"%/{_like(place.name)}",
    )
    return tuple(file for file in named if _is_copy(reader, file, place))


def _is_copy(reader: LedgerReader, file: FileRow, place: Path) -> bool:
    (job,) = read_rows(reader.connection, JobRow, "job_id = ?", file.job_id)
    if not place.as_posix().endswith(f"/{file.path.partition('/')[2]}"):
        return False
    runs = (place_of(job.runs_dir or "runs", reader.path), reader.path.parent / "runs")
    if any(real_path(folder / job.job_id / "outputs" / file.path) == place for folder in runs):
        return True
    definition = read_spec(reader, job.job_id).definition
    target = None if definition is None else definition.output_dir
    copied = file.path.removeprefix(f"{job.name}/")
    return target is not None and real_path(place_of(target, reader.path) / copied) == place


def _by_path(reader: LedgerReader, name: str, job_id: str | None) -> tuple[FileRow, ...]:
    """The files of the latest job that has the path: with exactly that path, else ending with it.

    If no job has such a path now, files that no step owns any more are searched.
    """
    path = name.removeprefix("./")
    for chosen, value in (("path = ?", path), ("path LIKE ? ESCAPE '\\'", f"%/{_like(path)}")):
        files = _chosen(reader, chosen, job_id, value) if path else ()
        if files:
            return tuple(file for file in files if file.job_id == files[0].job_id)
    for chosen, value in (("path = ?", path), ("path LIKE ? ESCAPE '\\'", f"%/{_like(path)}")):
        files = _former(reader, chosen, job_id, value) if path else ()
        newest = {file.path: file for file in reversed(files) if file.job_id == files[0].job_id}
        if newest:
            return tuple(reversed(newest.values()))
    return ()


def _by_digest(reader: LedgerReader, digest: str, job_id: str | None) -> tuple[FileRow, ...]:
    last = digest + "g"
    files = _chosen(reader, "sha256 >= ? AND sha256 < ?", job_id, digest, last)
    if files:
        return files
    query = "SELECT sha256 FROM blobs WHERE sha256 >= ? AND sha256 < ? LIMIT 1"
    if reader.connection.execute(query, (digest, last)).fetchone() is None:
        return ()
    return _former(reader, "sha256 >= ? AND sha256 < ?", job_id, digest, last)


def _former(
    reader: LedgerReader, chosen: str, job_id: str | None, *values: str
) -> tuple[FileRow, ...]:
    """Files that steps wrote at any time, newest first; read from the events."""
    rows = reader.connection.execute(
        f"SELECT job_id, version, path FROM ({_WRITTEN}) WHERE {chosen} "
        "AND (? IS NULL OR job_id = ?) ORDER BY position DESC LIMIT ?",
        (*values, job_id, job_id, LISTED_MAX),
    ).fetchall()
    return tuple(_row(reader.read_event(of_job, version), path) for of_job, version, path in rows)


def _row(recorded: Recorded, path: str) -> FileRow:
    event, job_id = recorded.event, recorded.job_id
    if isinstance(event, StepReused):
        file, attempt = next(file for file in event.files if file.path == path), None
    else:
        assert isinstance(event, FileWritten), event.type
        file, attempt = file_of(event), event.attempt
    return FileRow(
        f"{job_id}/{path}",
        path,
        job_id,
        f"{job_id}/{event.step}",
        path,
        file.sha256,
        file.size_bytes,
        file.media_type,
        recorded.recorded_at,
        attempt,
        file.mode,
    )


def _chosen(
    reader: LedgerReader, chosen: str, job_id: str | None, *values: str
) -> tuple[FileRow, ...]:
    of_job = "" if job_id is None else " AND job_id = ?"
    named = values if job_id is None else (*values, job_id)
    query = f"{chosen}{of_job} {NEWEST_FILES} LIMIT {LISTED_MAX}"
    return tuple(read_rows(reader.connection, FileRow, query, *named))


def _like(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
