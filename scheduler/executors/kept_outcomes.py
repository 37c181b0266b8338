"""Outcomes in a folder that this machine shares with the workers: they outlive the workers.

The ledger stays the only truth: what is read here is verified, copied, and committed like a result
that came over the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import trio

from orc.ledger.digest import Digest
from orc.scheduler.executors.contract import Inputs, Placement, Ticket, WorkFile, WorkOutcome
from orc.scheduler.executors.errors import EngineProblem
from orc.scheduler.executors.fetched import checked_outcome, lost_reason, take_files
from orc.worker.problems import RequestProblem
from orc.worker.shared_files import SharedFiles

_PIECE = 1 << 20


class KeptOutcomes:
    """What the workers of one executor keep in the shared folder."""

    def __init__(self, files: SharedFiles) -> None:
        self._files = files

    @classmethod
    def open(cls, folder: Path) -> KeptOutcomes:
        """Use a shared folder. Raises EngineProblem with a sentence if it is not a private one."""
        try:
            return cls(SharedFiles.open(folder))
        except RequestProblem as problem:
            raise EngineProblem(problem.code, str(problem)) from problem

    @property
    def folder(self) -> str:
        """The path of the folder, the same on all machines."""
        return str(self._files.folder)

    def add_inputs(self, ticket: Ticket, files: Iterable[WorkFile], attempt: Inputs) -> None:
        """Put inputs there that the workers lack. What cannot be written is sent over the network."""
        for file in files:
            try:
                if not self._files.has(ticket.job_id, file.sha256):
                    with open(attempt.read_input(file), "rb", buffering=0) as source:
                        self._files.add(ticket.job_id, iter(partial(source.read, _PIECE), b""))
            except OSError:
                return

    async def take(self, ticket: Ticket, placed: Placement, folder: Path) -> WorkOutcome | None:
        """Copy what the placed copy left into `folder`; its outcome, or None if it is not all there."""
        return await trio.to_thread.run_sync(self._take, ticket, placed, folder)

    async def forget(self, ticket: Ticket, placed: Placement) -> None:
        """Drop the outcome of a copy, whose end is committed."""
        await trio.to_thread.run_sync(self._files.forget, _names(ticket, placed))

    async def end_job(self, job_id: str) -> None:
        """Remove all that is kept of a job that has ended."""
        await trio.to_thread.run_sync(self._files.remove_job, job_id)

    def _take(self, ticket: Ticket, placed: Placement, folder: Path) -> WorkOutcome | None:
        try:
            found = self._files.outcome(_names(ticket, placed))
            if found is None or lost_reason(found["outcome"]) is not None:
                return None
            outcome = checked_outcome(found["outcome"])
            parts = folder / "parts"
            parts.mkdir()
            digests = [Digest(found["log"])]
            digests += [file.sha256 for file in (*outcome.files, *outcome.artifacts)]
            for number, digest in enumerate(digests):
                if not self._copy(ticket.job_id, digest, parts / str(number)):
                    return None
        except (OSError, RequestProblem, KeyError):
            # The worker has it, if it is still there.
            return None
        return take_files(found["outcome"], parts, folder)

    def _copy(self, job_id: str, digest: str, target: Path) -> bool:
        fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            return self._files.copy_to(job_id, digest, fd)
        finally:
            os.close(fd)


def _names(ticket: Ticket, placed: Placement) -> dict[str, str]:
    return {"ticket": str(ticket), "run": placed.run, "worker": placed.worker}
