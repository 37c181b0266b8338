"""Runs a job and asks its questions in place, while its other steps go on.

Each answer is recorded by the use case of `orc approve`: a signal to the runner, as from another
process, or an event if the job has paused. A job that has paused for its questions goes on in this
process after they are answered. A stop signal meanwhile leaves it waiting.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import trio
from msgspec.structs import replace

from orc.cli.errors import OwnerSilent, UsageProblem
from orc.cli.jobs.decide import decide
from orc.cli.jobs.owned_job import Ended, Listener
from orc.cli.jobs.places import Places
from orc.cli.jobs.state import load_state
from orc.cli.terminal.asking.prompt import Answer, ask
from orc.cli.terminal.display import Display
from orc.cli.terminal.text import safe, say
from orc.ledger import JobId, LedgerReader, Recorded
from orc.ledger.events import ApprovalDecided, ApprovalRequested
from orc.projections.history.upstream import files_about
from orc.projections.tables.job_view import read_view
from orc.projections.tables.questions import Question, read_questions
from orc.projections.tables.rows import FileRow
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.stopping import open_stop_signals

Start = Callable[[Listener], Awaitable[Ended]]
"""Runs the job with these callbacks."""


async def run_and_ask(
    start: Start, go_on: Callable[[JobId], Start], display: Display, places: Places
) -> Ended:
    """Run the job, ask its questions, and continue it after the answers; how it ended."""
    asking = _Asking(display, places)
    while True:
        ended = await asking.run(start)
        if not asking.answered_pause:
            return ended
        start = go_on(ended.job_id)


class _Asking:
    def __init__(self, display: Display, places: Places) -> None:
        self._display = display
        self._places = places
        self._inner = display.listener()
        self._job_id: str = ""
        self._folder = Path()
        self._changed = trio.Event()
        self._has_paused = False
        self._is_left = False
        self._step = ""
        self._prompt = trio.CancelScope()
        self.answered_pause = False
        """Whether an answer was recorded after the job had paused."""

    async def run(self, start: Start) -> Ended:
        """Run the job once and ask meanwhile; after it has paused, ask what is left."""
        self._has_paused = self.answered_pause = False
        asked_all = trio.Event()
        # Opened before the runner's own, so that it gets each signal after the runner has ended.
        async with open_stop_signals() as signals, trio.open_nursery() as nursery:
            nursery.start_soon(self._ask_all, asked_all)
            ended = await start(
                replace(self._inner, on_job=self._on_job, on_events=self._on_events)
            )
            if ended.status == "waiting":
                self._has_paused = True
                self._changed.set()
                ended = await self._answers_after(ended, asked_all, signals)
            nursery.cancel_scope.cancel()
        return ended

    def _on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        self._job_id, self._folder = job_id, folder / "outputs"
        self._inner.on_job(state, job_id, folder)
        self._changed.set()

    def _on_events(self, recorded: Sequence[Recorded]) -> None:
        self._inner.on_events(recorded)
        for item in recorded:
            if isinstance(item.event, ApprovalRequested):
                self._changed.set()
            elif isinstance(item.event, ApprovalDecided) and item.event.step == self._step:
                # By somebody else, or by its timeout.
                self._prompt.cancel()

    async def _answers_after(
        self, ended: Ended, asked_all: trio.Event, signals: AsyncIterator[str]
    ) -> Ended:
        """Wait for the answers of a job that has paused; how it stands then."""
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await anext(signals)
                self.answered_pause = False
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await asked_all.wait()
            nursery.cancel_scope.cancel()
        with LedgerReader.open(self._places.database) as reader:
            return replace(ended, state=load_state(reader, ended.job_id))

    async def _ask_all(self, asked_all: trio.Event) -> None:
        """Ask one question after the other, until the job has paused and none is left."""
        while not self._is_left:
            self._changed = trio.Event()
            found = self._next() if self._job_id else None
            if found is not None:
                await self._ask(*found)
            elif self._has_paused:
                break
            else:
                await self._changed.wait()
        asked_all.set()

    def _next(self) -> tuple[Question, list[FileRow]] | None:
        """The first open question, with the files that it is about."""
        with LedgerReader.open(self._places.database) as reader:
            for question in read_questions(reader, self._job_id):
                view = read_view(reader.connection, self._job_id)
                return question, files_about(reader.connection, view, question)
        return None

    async def _ask(self, question: Question, files: Sequence[FileRow]) -> None:
        answer: Answer | None = None
        self._step = question.step
        with self._display.aside(), trio.CancelScope() as self._prompt:
            answer = await ask(question, files, str(self._folder))
            self._is_left = answer is None
        self._step = ""
        if self._prompt.cancelled_caught:
            say(f"\n{safe(question.step)} was decided meanwhile")
        elif answer is not None:
            await self._record(question, answer)

    async def _record(self, question: Question, answer: Answer) -> None:
        try:
            decision = await decide(
                self._job_id,
                question.step,
                option=answer.option,
                comment=answer.comment,
                places=self._places,
            )
        except (UsageProblem, OwnerSilent) as error:
            # Another person was faster, or the comment is too long: the next question tells.
            say(f"orc: {safe(error)}")
            return
        self.answered_pause |= not decision.has_owner
        if not decision.is_ours:
            say(f"{safe(question.step)} has just been decided: {safe(decision.option)}")
