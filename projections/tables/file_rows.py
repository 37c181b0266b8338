"""The table of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orc.projections.tables.columns import TableInfo, column


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of `files`; `path` is relative to the job's `outputs/`."""

    TABLE: ClassVar = TableInfo(
        "files", "Files", "One row for each path that a job's steps wrote, with its latest file."
    )

    file_id: str = column("`job/path`.", key=True)
    name: str = column("The path of the file.")
    job_id: str = column("The job.", refers="jobs.job_id", indexed=True)
    step_id: str = column("The step that wrote the file.", refers="steps.step_id")
    path: str = column("The path of the file, relative to the `outputs/` of the run folder.")
    sha256: str = column("The blob with the file's bytes.", refers="blobs.sha256", indexed=True)
    size_bytes: int = column("The size of the file.")
    media_type: str = column("The media type, for example text/markdown.")
    written_at: str = column("When the file was last written.")
    attempt: int | None = column(
        "The attempt that wrote the file; NULL if it was copied from another step's result."
    )
    mode: str | None = column(
        "The permission bits as three octal digits, for example 755; NULL for an ordinary file."
    )
