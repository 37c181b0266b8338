"""One submission of an attempt to an engine, and what travels with it."""

from __future__ import annotations

from msgspec import Struct

from orc.scheduler.executors.contract import Inputs, Ticket, Work, WorkFile
from orc.scheduler.executors.kept_outcomes import KeptOutcomes
from orc.scheduler.executors.wire import payload_of

INLINE_FILE_BYTES = 64 * 1024
"""A larger file does not travel with the work: it is sent to the worker that lacks it."""
INLINE_BYTES = 1024 * 1024


class Submission(Struct, frozen=True):
    """A copy that has not ended, as far as is known here. `kept` is the folder shared with workers."""

    ticket: Ticket
    run: str
    work: Work
    attempt: Inputs
    kept: KeptOutcomes | None = None

    def files(self) -> dict[str, WorkFile]:
        """The files that the work needs, by digest."""
        return {file.sha256: file for file in (*self.work.inputs, *self.work.shipped)}

    def payload(self, lease_s: float, keep_s: float) -> str:
        """What the engine carries: the work, with the contents of small files."""
        contents: dict[str, bytes] = {}
        large: list[WorkFile] = []
        total = 0
        for digest, file in self.files().items():
            if file.size_bytes > INLINE_FILE_BYTES or total + file.size_bytes > INLINE_BYTES:
                large.append(file)
                continue
            contents[digest] = self.attempt.read_input(file).read_bytes()
            total += file.size_bytes
        if self.kept is not None:
            self.kept.add_inputs(self.ticket, large, self.attempt)
        return payload_of(
            self.ticket,
            self.run,
            self.work,
            contents,
            lease_s=lease_s,
            keep_s=keep_s,
            shared=None if self.kept is None else self.kept.folder,
        )
