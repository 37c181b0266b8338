"""The table of files."""

from typing import Annotated, NamedTuple

from orc.projections.tables.columns import column, table


@table("files", "Files", "One row for each path that a job's steps wrote, with its latest file.")
class FileRow(NamedTuple):
    """A row of `files`; `path` is relative to the job's `outputs/`."""

    file_id: Annotated[str, column("`job/path`.", key=True)]
    name: Annotated[str, column("The path of the file.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    step_id: Annotated[str, column("The step that wrote the file.", refers="steps.step_id")]
    path: Annotated[
        str, column("The path of the file, relative to the `outputs/` of the run folder.")
    ]
    sha256: Annotated[
        str, column("The blob with the file's bytes.", refers="blobs.sha256", indexed=True)
    ]
    size_bytes: Annotated[int, column("The size of the file.")]
    media_type: Annotated[str, column("The media type, for example text/markdown.")]
    written_at: Annotated[str, column("When the file was last written.")]
    attempt: Annotated[
        int | None,
        column(
            "The attempt that wrote the file; NULL if it was copied from another step's result."
        ),
    ]
    mode: Annotated[
        str | None,
        column(
            "The permission bits as three octal digits, for example 755; NULL for an ordinary file."
        ),
    ]
