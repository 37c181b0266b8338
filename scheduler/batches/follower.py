"""Follows one batch: it is submitted, or found again, and looked at until it has ended.

What the server says is recorded. The results of a batch that has ended go to the attempts that wait
for them. Gathering calls is left to `room.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from orc.ledger import failpoints
from orc.ledger.events import BatchAccepted, BatchEnded, BatchProgressed
from orc.ledger.kinds import TRANSIENT, BatchOutcome
from orc.ledger.wording import count_text
from orc.providers import PermanentError, ProviderError, Reply, TransientError
from orc.providers.batches.contract import BatchApi, BatchState
from orc.scheduler.batches.members import Member, Outcome
from orc.scheduler.core.batch_commands import RecordBatch
from orc.scheduler.core.commands import Command
from orc.scheduler.core.fold.batch_state import BatchOfJob
from orc.scheduler.effects.contract import BatchLost

POLL_FIRST_S = 0.5
POLL_MAX_S = 60.0
POLL_GROWTH = 1.5
FIND_TRIES = 3
FIND_WAIT_S = 2.0
"""A server may list a new batch a little later than it accepted it."""
READ_TRIES = 4
CANCEL_POLL_S = 0.25
CANCEL_WAIT_S = 20.0
"""How long a cancelled job waits for its batches to end, to keep what was answered."""
JOIN_POLL_S = 0.1

Commit = Callable[[Command], Awaitable[None]]


class Follower:
    """Follows one batch of a job. `members` are the calls that wait for its results, by step.

    `is_looked_at`: the server was asked at least once. `trouble`: why it cannot be asked; nobody but
    the user can help if `is_stuck`.
    """

    def __init__(
        self,
        batch: BatchOfJob,
        api: BatchApi,
        *,
        commit: Commit,
        changed: Callable[[], None],
        cut: Callable[[str], None],
        known_ids: Callable[[], set[str]],
    ) -> None:
        self.batch = batch
        self.members: dict[str, Member] = {}
        self.is_looked_at = False
        self.is_stuck = False
        self._api = api
        self._commit = commit
        self._changed = changed
        self._cut = cut
        self._joined = trio.Event()
        self._known_ids = known_ids
        self._trouble = ""
        self._wake = trio.Event()
        self._is_cancelling = False
        self._cancel_by = float("inf")

    @property
    def is_open(self) -> bool:
        """Whether the server works on it, as far as is known."""
        return self.batch.ended is None

    def cancel(self) -> None:
        """Have the server end it, and wait for what was answered."""
        self._is_cancelling = True
        self._cancel_by = trio.current_time() + CANCEL_WAIT_S
        self._wake.set()

    def join(self, member: Member) -> None:
        """Let a call wait for its result."""
        self.members[member.step] = member
        self._joined.set()
        self._joined = trio.Event()

    async def follow(self, entries: Sequence[bytes] | None) -> None:
        """Follow the batch to its results. `entries` are those of a batch that is not submitted yet."""
        status: BatchState | None = None
        try:
            if self.batch.ended is None:
                status = await self._until_ended(entries)
            await self._deliver(status)
        except Exception as error:
            # An unexpected exception of a provider fails the steps, not the whole job.
            message = f"{self.batch.provider}: {type(error).__name__}: {error}"
            self._end_all(TransientError("protocol", message))

    async def cancel_at_server(self) -> None:
        """Have the server end it, if it has it. Errors are ignored: nothing waits for it."""
        if self.batch.server_id is None or self.batch.ended is not None:
            return
        with suppress(ProviderError):
            await self._api.cancel(self.batch.server_id)

    async def _until_ended(self, entries: Sequence[bytes] | None) -> BatchState | None:
        status: BatchState | None = None
        if self.batch.server_id is None:
            status = await (self._find() if entries is None else self._submit(entries))
            if status is None:
                return None
            found = True if entries is None else None
            await self._record(
                BatchAccepted(batch=self.batch.number, server_id=status.server_id, found=found)
            )
            failpoints.hit("batch.accepted")
        return await self._look_until_ended()

    async def _submit(self, entries: Sequence[bytes]) -> BatchState | None:
        failpoints.hit("batch.before_submit")
        try:
            status = await self._api.submit(self.batch.name, entries)
        except ProviderError as error:
            if _is_refusal(error):
                await self._end("refused", error=error)
                return None
            return await self._find(failure=error.message)
        failpoints.hit("batch.after_submit")
        return status

    async def _find(self, *, failure: str = "") -> BatchState | None:
        """The batch at the server, whose answer to the submission is unknown; None if it is lost.

        `failure` is how the submission failed, if that is known.
        """
        because = f"; the submission failed: {failure}" if failure else ""
        others: set[str] = set()
        tries = 0
        delay = POLL_FIRST_S
        while True:
            try:
                found, is_unsure = await self._search(others)
            except ProviderError as error:
                if _is_gone(error):
                    await self._lose(f"cannot be searched for: {error.message}")
                    return None
                await self._note(error)
            else:
                await self._note(None)
                if found is not None:
                    return found
                tries += not is_unsure
                if tries >= FIND_TRIES:
                    await self._lose(f"is not at the server, which may have had it{because}")
                    return None
                delay = delay if is_unsure else FIND_WAIT_S
            self._looked_at()
            delay = await self._pause(delay)

    async def _search(self, others: set[str]) -> tuple[BatchState | None, bool]:
        """The batch if it is listed, and whether one that is listed may be it."""
        is_unsure = False
        own = {member.custom_id for member in self.members.values()}
        for listed in await self._api.find(self.batch.name, since=self.batch.submitted_at):
            if listed.is_named:
                return listed, False
            if listed.server_id in others or listed.server_id in self._known_ids():
                continue
            if listed.total and listed.total != self.batch.requests:
                continue
            if listed.ending is None:
                is_unsure = True
            elif await self._api.first_id(listed) in own:
                return listed, False
            else:
                others.add(listed.server_id)
        return None, is_unsure

    async def _lose(self, why: str) -> None:
        message = f"the batch {self.batch.name} {why}"
        await self._end("lost", error=TransientError("connection", message))

    async def _look_until_ended(self) -> BatchState | None:
        delay = POLL_FIRST_S
        asked = False
        while True:
            if not self.batch.waiting:
                await self.cancel_at_server()
                await self._end("abandoned")
                return None
            try:
                if self._is_cancelling and not asked:
                    await self._api.cancel(self._server_id)
                    asked = True
                status = await self._api.look(self._server_id)
            except ProviderError as error:
                if _is_gone(error):
                    await self._lose(f"cannot be checked: {error.message}")
                    return None
                await self._note(error)
            else:
                await self._note(None)
                if status.ending is not None:
                    await self._end(status.ending, status=status)
                    return status
                await self._progress(status)
            self._looked_at()
            if trio.current_time() >= self._cancel_by:
                # Its calls stay in doubt.
                for step_id in list(self.batch.waiting):
                    self._cut(step_id)
                await trio.sleep_forever()
            delay = await self._pause(delay)

    @property
    def _server_id(self) -> str:
        assert self.batch.server_id is not None
        return self.batch.server_id

    async def _deliver(self, status: BatchState | None) -> None:
        """Give each call its outcome, when all attempts that wait for one are here."""
        while not self.batch.waiting.keys() <= self.members.keys():
            # Attempts that an earlier owner started are being rendered, or end.
            with trio.move_on_after(JOIN_POLL_S):
                await self._joined.wait()
        ended = self.batch.ended
        assert ended is not None
        if ended.outcome == "lost":
            self._end_all(BatchLost(ended.message or ""))
        elif ended.outcome in ("refused", "failed", "abandoned"):
            self._end_all(_error_of(ended))
        else:
            await self._read(status)

    async def _read(self, status: BatchState | None) -> None:
        found: dict[str, Reply | ProviderError] = {}
        tries = 0
        delay = POLL_FIRST_S
        error: ProviderError | None = None
        while tries < READ_TRIES or (error is not None and not _is_gone(error)):
            left = {
                member.custom_id: member.request
                for step, member in self.members.items()
                if step in self.batch.waiting and member.custom_id not in found
            }
            if not left:
                break
            error = None
            try:
                if status is None or tries:
                    status = await self._api.look(self._server_id)
                failpoints.hit("batch.before_read")
                await self._api.read(status, left, found.__setitem__)
            except ProviderError as raised:
                error = raised
            tries += 1
            await self._note(error)
            self._looked_at()
            if left.keys() <= found.keys():
                break
            delay = await self._pause(delay)
        failpoints.hit("batch.after_read")
        for member in self.members.values():
            member.end(found.get(member.custom_id) or _missing(error))

    def _end_all(self, outcome: Outcome) -> None:
        for member in self.members.values():
            member.end(outcome)

    async def _progress(self, status: BatchState) -> None:
        # More than it has would be nonsense.
        answered = min(status.answered, self.batch.requests)
        failed = min(status.failed, self.batch.requests - answered)
        if (answered, failed) != (self.batch.answered, self.batch.failed):
            await self._record(
                BatchProgressed(batch=self.batch.number, answered=answered, failed=failed)
            )

    async def _note(self, error: ProviderError | None) -> None:
        """Record why the server cannot be asked, or that it can be again."""
        self.is_stuck = isinstance(error, PermanentError)
        words = "" if error is None else error.message
        if words == self._trouble:
            return
        self._trouble = words
        await self._record(
            BatchProgressed(
                batch=self.batch.number,
                answered=self.batch.answered,
                failed=self.batch.failed,
                trouble=words or None,
            )
        )

    async def _end(
        self,
        outcome: BatchOutcome,
        *,
        status: BatchState | None = None,
        error: ProviderError | None = None,
    ) -> None:
        counts = {}
        if status is not None:
            answered = min(status.answered, self.batch.requests)
            counts = {
                "answered": answered,
                "failed": min(status.failed, self.batch.requests - answered),
            }
        if outcome == "failed" and status is not None:
            error = status.failure()
        await self._record(
            BatchEnded(
                batch=self.batch.number,
                outcome=outcome,
                **counts,
                kind=None if error is None else error.kind,
                message=None if error is None else error.message,
                retry_after_s=error.retry_after_s if isinstance(error, TransientError) else None,
                absent=None if error is None else error.absent or None,
            )
        )
        failpoints.hit("batch.ended")

    async def _record(self, event: BatchAccepted | BatchProgressed | BatchEnded) -> None:
        await self._commit(RecordBatch(event))

    def _looked_at(self) -> None:
        self.is_looked_at = True
        self._changed()

    async def _pause(self, delay: float) -> float:
        """Wait before the next look; the delay after it."""
        if self._is_cancelling:
            await trio.sleep(CANCEL_POLL_S)
            return delay
        with trio.move_on_after(delay):
            await self._wake.wait()
        return min(delay * POLL_GROWTH, POLL_MAX_S)


def _is_refusal(error: ProviderError) -> bool:
    """Whether the server surely has no batch after this error."""
    return isinstance(error, PermanentError) or error.unsent or error.kind == "rate_limit"


def _is_gone(error: ProviderError) -> bool:
    """Whether the server does not know what it was asked for, and will not know it later."""
    return isinstance(error, PermanentError) and error.kind not in ("auth", "environment")


def _error_of(ended: BatchEnded) -> ProviderError:
    """The error of each call in a batch of which no request was answered."""
    message = ended.message or "the batch was not answered"
    error: ProviderError
    if ended.kind is None or ended.kind in TRANSIENT:
        kind = ended.kind or "connection"
        error = TransientError(kind, message, retry_after_s=ended.retry_after_s, unsent=True)  # type: ignore[arg-type]
    else:
        error = PermanentError(ended.kind, message)  # type: ignore[arg-type]
        error.unsent = True
    error.absent = bool(ended.absent)
    return error


def _missing(error: ProviderError | None) -> ProviderError:
    if error is not None:
        return error
    return TransientError(
        "protocol",
        f"the results of its batch have none for it, after {count_text(READ_TRIES, 'attempt')} to "
        "read them",
    )
