"""Checks whether a job can be continued after blobs were removed from the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from orc.ledger import LedgerReader, Payload
from orc.ledger.command_lines import quoted_command
from orc.ledger.definition import walk_steps
from orc.ledger.digest import Digest
from orc.ledger.errors import RemovedBlob
from orc.ledger.gathered import parts_of
from orc.scheduler.core.fold.evolve import JobState


def refuse_removed(
    ledger: LedgerReader, job_id: str, state: JobState, *, kept: Collection[str] | None = None
) -> None:
    """Raise RemovedBlob if a blob that the job needs was removed, before anything is spent.

    `kept` are the steps that keep their results; None for all steps.
    """
    if not state.removed:
        return
    gone = [
        (what, digest)
        for what, digest in _needed(state, kept)
        if digest in state.removed and not ledger.knows_blob(digest)
    ]
    if not gone:
        return
    what, digest = gone[0]
    more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
    try:
        ledger.blob_size(digest)
    except RemovedBlob as error:
        raise RemovedBlob(
            f"{job_id} cannot be continued: {what}{more} was removed. {error}. "
            f"{quoted_command('fork', job_id)} runs again, in a new job, what has lost its result",
            digest,
        ) from None


def _needed(state: JobState, kept: Collection[str] | None) -> Iterator[tuple[str, Digest]]:
    """The blobs that the job may read when it continues: a description and the digest of each."""
    for name, step in state.steps.items():
        if kept is not None and name not in kept:
            continue
        if step.is_done:
            yield from _of(f"the output of step {name!r}", step.output)
        else:
            for reply in step.replies:
                yield from _of(f"a reply to step {name!r}", reply.reply)
            for result in step.results.values():
                yield from _of(f"a tool's result in step {name!r}", result.result)
        for values in step.inside.values if step.inside is not None else ():
            yield from _of(f"the values of step {name!r}", values)
        # A step that keeps its results also keeps those of its items, rounds and members.
        own = state.owned.of_step(name).values()
        for owned in own if kept is None else state.owned.inside(name):
            yield f"the file {owned.file.path!r}", owned.file.sha256
    for read in state.definition.all_read():
        for digest in read.digests():
            yield f"a file or rows of the input {read.source!r}", digest
    for definition in walk_steps(state.definition.steps):
        for message in definition.messages:
            for part in message.content if isinstance(message.content, tuple) else ():
                if part.sha256 is not None:
                    yield f"a file of a message of step {definition.id!r}", part.sha256


def _of(what: str, payload: Payload | None) -> Iterator[tuple[str, Digest]]:
    for part in () if payload is None else parts_of(payload):
        if part.sha256 is not None:
            yield what, part.sha256
