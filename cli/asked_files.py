"""Which file `orc blame` is asked about, and what is said where that is not clear."""

from __future__ import annotations

from orc.cli.blaming import blame_lines, blame_value
from orc.cli.errors import UsageProblem
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger import LedgerReader
from orc.projections.history.find_files import COPY_BYTES_MAX, FoundFiles, find_files
from orc.projections.history.lineage import read_lineage
from orc.projections.tables.rows import FileRow

_LISTED = 5


def put_blame(
    ledger: LedgerReader, name: str, *, job: str | None, is_full: bool, as_json: bool
) -> int:
    """Print the story of the file that `name` means. Raises UsageProblem, NoSuchJob."""
    job_id = None if job is None else ledger.find_job(job)
    found = find_files(ledger, name, job_id=job_id)
    file = _choose(found, name, job_id)
    lineage = read_lineage(ledger, file)
    if as_json:
        asked = {"name": name, "found_by": found.by, "sha256": found.sha256}
        put_json({"asked": asked, **blame_value(ledger, lineage)})
        return 0
    if found.by == "changed":
        put(
            f"{safe(name)} was changed since orc wrote it: its bytes are now of "
            f"sha256 {found.sha256}, which this ledger does not know. What orc wrote there:"
        )
    elif found.is_other_copy and found.by == "path":
        say(
            f"the file {safe(name)} that lies here is another one, which this ledger does not "
            f"know; this is {safe(file.path)} of {file.job_id}"
        )
    for line in blame_lines(ledger, lineage, is_full=is_full):
        put(line)
    return 0


def _choose(found: FoundFiles, name: str, job_id: str | None) -> FileRow:
    if not found.files:
        raise UsageProblem(_unknown(found, name, job_id))
    first = found.files[0]
    if found.by == "digest":
        others = {file.sha256 for file in found.files} - {first.sha256}
        if others:
            listed = ", ".join(sorted(safe(d[:16]) for d in (first.sha256, *others))[:_LISTED])
            raise UsageProblem(f"{name!r} begins several digests: {listed}; give more of it")
    if found.by == "path" and len(found.files) > 1:
        paths = [file.path for file in found.files]
        more = ", ..." if len(paths) > _LISTED else ""
        raise UsageProblem(
            f"{name!r} could be any of {', '.join(paths[:_LISTED])}{more} of {first.job_id}; "
            "give more of the path"
        )
    return first


def _unknown(found: FoundFiles, name: str, job_id: str | None) -> str:
    where = "this ledger" if job_id is None else job_id
    if found.too_large:
        return (
            f"{name} is larger than {COPY_BYTES_MAX // 2**20} MB, which orc does not read to know "
            "it; give its path in the job, or its SHA-256"
        )
    if found.is_other_copy:
        return f"{where} knows no file of the bytes of {name}, nor one of its path"
    return (
        f"{where} has no file {name!r}, there is none of that path here, and no digest of a "
        "file begins so; `orc show JOB --files` lists a job's"
    )
