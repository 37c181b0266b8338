"""A ledger with a job that has large files: they are beside the ledger, whatever their size is."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from orc.ledger import JobId, Ledger
from orc.ledger.digest import Digest, digest_bytes
from orc.ledger.events import FileRef, Payload
from orc.scheduler.core.commands import FinishAttempt, Settle, Succeeded
from tests.builders import EPOCH_S, JOB, step
from tests.projections.support import Story, begun

LARGE = b"\x00\x01large and binary " * 4000
LARGE_TEXT = b"a large text\n" * 5000
PLAIN = b"text\na large"
"""The content of an ordinary artifact; the large text has it, too."""
LARGE_DIGEST = digest_bytes(LARGE)
TEXT_DIGEST = digest_bytes(LARGE_TEXT)
_BYTES_MIN = 10_000


def large_story(
    runs_dir: Path | str = "/runs", *, job_id: JobId = JOB, large: tuple[Digest, int] | None = None
) -> Story:
    """A job with a large file that can be executed, a large text, a small file, and artifacts.

    `large` is the digest and the size of another file in place of the first; its bytes are not kept.
    """
    told = begun(
        step("a", kind="run", run="true"),
        step("b", needs="a"),
        runs_dir=str(runs_dir),
        job_id=job_id,
    )
    told.start("a")
    tool = with_mode(told.file("demo/tool.bin", LARGE), "755")
    if large is not None:
        told.blobs.clear()
        tool = replace(tool, sha256=large[0], size_bytes=large[1])
    text, small = told.file("demo/big.txt", LARGE_TEXT), told.file("demo/small.txt", b"small")
    left = (with_mode(told.file("left.bin", LARGE), "640"), told.file("plain.txt", PLAIN))
    output = Payload(value="done")
    outcome = Succeeded(output, duration_s=0.5, files=(tool, text, small), artifacts=left)
    told.tell(FinishAttempt("a", 1, outcome, now=EPOCH_S + told.clock_s, wait_s=2.0))
    return told.start("b").succeed("b").tell(Settle())


def with_mode(file: FileRef, mode: str) -> FileRef:
    """The file with a mode of its own."""
    return replace(file, mode=mode)


def write_large(ledger: Ledger, *told: Story) -> None:
    """Append the stories; the large ones of their blobs become files beside the ledger."""
    for story in told:
        large = {blob for blob in story.blobs if len(blob) > _BYTES_MIN}
        ledger.append_blobs(blob for blob in story.blobs if blob not in large)
        ledger.append(story.stream, stored=[ledger.files.add([blob]) for blob in large])


def stored_path(database: Path, digest: str = LARGE_DIGEST) -> Path:
    """The file of the store."""
    return database.with_name(f"{database.name}.files") / digest[:2] / digest
