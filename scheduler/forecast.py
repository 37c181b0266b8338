"""What a run of a job decides before any work has ended: the run's own rules, without the work.

Values, conditions, items and the caches are asked by the code that the run uses. An attempt that
would run code, send a call or ask a person begins, and never ends; what depends on it stays open.
Nothing is sent to a model, no command or function is started, and no event is appended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from orc.ledger.codec import mask_event
from orc.ledger.definition import StepDef, walk_steps
from orc.ledger.digest import digest_bytes
from orc.ledger.events import AnyEvent, CacheHit, JobId, Recorded
from orc.ledger.reader import LedgerReader
from orc.scheduler.attempt import evaluate_value, perform_attempt
from orc.scheduler.attempt_context import AttemptContext
from orc.scheduler.branching import MAY_START, BranchEvaluator
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import CallEvent, Command, FinishAttempt, Interrupted, ReuseStep
from orc.scheduler.core.fold.evolve import evolve
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.executors.contract import Lost
from orc.scheduler.result_key import ResultCache, ResultReuse

Verdict = Literal["runs", "cached", "skipped", "fails", "asks", "unknown"]
"""What a run does with a step. `cached`: recorded results or replies take the place of its work.
`unknown`: that depends on the outcome of other steps."""

OPEN_VERDICTS: frozenset[Verdict] = frozenset(("runs", "asks", "unknown"))
"""The verdicts on steps whose work a run may do."""


class Items(NamedTuple):
    """How many of the items of a fan-out a run may work on, of how many."""

    runs: int
    total: int


class StepForecast(NamedTuple):
    """What a run does with a step of the spec, and with its items if they are known."""

    verdict: Verdict
    items: Items | None = None


STEPS_MAX = 10_000
"""How many steps, items and rounds are followed; those after them stay open."""


class ReaderWithBlobs(LedgerReader):
    """A reader of a ledger that also has blobs which are in no ledger, by digest.

    `read` gives those that are not in memory, or None.
    """

    def __init__(
        self,
        reader: LedgerReader,
        blobs: dict[str, bytes],
        read: Callable[[str], bytes | None] = lambda digest: None,
    ) -> None:
        super().__init__(reader.path, reader.connection)
        self.blobs = blobs
        self._content_of = read

    def read_blob(self, digest: str) -> bytes:
        """See `LedgerReader.read_blob`."""
        made = self.blobs.get(digest)
        made = self._content_of(digest) if made is None else made
        return super().read_blob(digest) if made is None else made


class UnsentJournal:
    """A journal for calls that are not sent: an attempt that would send one is lost."""

    async def record(self, event: CallEvent, *blobs: bytes | None) -> None:
        """See `Journal.record`. Raises Lost for anything but a reply from the ledger."""
        if not isinstance(event, CacheHit):
            raise Lost


class Forecast:
    """Follows the rules of a run from the state of a job that was submitted and started.

    `context` has an `UnsentJournal`, and a ledger that keeps the blobs of values in `blobs`.
    """

    def __init__(
        self,
        job_id: JobId,
        context: AttemptContext,
        *,
        results: ResultCache | None,
        blobs: dict[str, bytes],
    ) -> None:
        self._job_id = job_id
        self._context = context
        self._state = context.state
        self._blobs = blobs
        self._clock = Clock()
        self._queues = WorkQueues(context.state)
        self._results = ResultReuse(context.state, context.renderer, results)
        self._branches = BranchEvaluator(
            context.state, context.renderer, self._clock, self._results
        )
        self._from_ledger: set[str] = set()
        self._followed = 0

    async def follow(self, *opening: Command) -> None:
        """Apply the commands, and then everything that needs no work. Raises LedgerError."""
        for command in opening:
            self._apply(command)
        is_new = True
        while is_new and self._followed < STEPS_MAX:
            is_new = self._evaluate() or await self._start()

    def verdict(self, step_id: str) -> Verdict:
        """What the run does with a step of the spec."""
        step = self._state.steps[step_id]
        if step.status == "skipped":
            return "skipped"
        if step.status == "failed":
            return "fails"
        children = () if step.inside is None else step.inside.children
        inside = [self.verdict(child) for child in children]
        if "unknown" in inside or (step.status == "pending" and self._depends(step_id)):
            return "unknown"
        if step_id in self._state.questions:
            return "asks"
        if step.status != "succeeded":
            return "runs"
        is_cached = step_id in self._from_ledger or "cached" in inside
        return "cached" if is_cached and "runs" not in inside else "runs"

    def items(self, step_id: str) -> Items | None:
        """How many items of a fan-out run; None if it has not expanded, or is none."""
        step, definition = self._state.steps[step_id], self._state.graph.steps[step_id]
        if definition.for_each is None or step.inside is None:
            return None
        verdicts = [self.verdict(child) for child in step.inside.children]
        return Items(sum(each in OPEN_VERDICTS for each in verdicts), len(verdicts))

    def _depends(self, step_id: str) -> bool:
        """Whether an open step may be skipped, or take a result from the ledger."""
        definition = self._state.graph.steps[step_id]
        is_decided_later = any(
            inner.condition is not None or _asks_ledger(inner)
            for inner in walk_steps((definition,))
        )
        needs = self._state.graph.needs[step_id]
        return is_decided_later or any(
            self.verdict(name) in ("unknown", "skipped") for name in needs
        )

    def _evaluate(self) -> bool:
        due = self._queues.take_due()
        for step_id in due:
            found = self._branches.evaluate(step_id)
            if found is MAY_START:
                self._queues.add_ready(step_id)
            elif found is not None:
                self._keep(found.blobs)
                self._apply(found.command)
        return bool(due)

    async def _start(self) -> bool:
        now = self._clock.now()
        ready = list(self._queues.ready(now))
        for step_id in ready:
            self._followed += 1
            command = self._results.first_command(step_id, now)
            self._apply(command)
            if isinstance(command, ReuseStep):
                self._from_ledger.add(step_id)
            elif not self._state.graph.steps[step_id].facts.runs_code:
                await self._perform(step_id)
        return bool(ready)

    async def _perform(self, step_id: str) -> None:
        """Perform an attempt that needs no work: a value, or a prompt with replies in the ledger."""
        definition = self._state.graph.steps[step_id]
        if definition.facts.is_immediate:
            finished = evaluate_value(self._context, step_id)
        elif not self._may_answer(step_id, definition):
            return
        else:
            finished = await perform_attempt(self._context, step_id)
            if isinstance(finished.outcome, Interrupted):
                return
            self._from_ledger.add(step_id)
        self._keep(finished.blobs)
        attempt = self._state.steps[step_id].attempts
        self._apply(FinishAttempt(step_id, attempt, finished.outcome, self._clock.now()))

    def _may_answer(self, step_id: str, definition: StepDef) -> bool:
        """Whether the ledger may have the replies of a prompt. The tools of a model run code."""
        target = self._state.target_of(step_id)
        # Without the key of its provider, the run would be refused.
        is_usable = target is not None and target.server in self._context.providers
        return is_usable and _asks_ledger(definition) and not definition.tools

    def _keep(self, blobs: Iterable[bytes]) -> None:
        self._blobs.update((digest_bytes(blob), blob) for blob in blobs)

    def _apply(self, command: Command) -> None:
        for found in decide(self._state, command):
            event: AnyEvent = mask_event(self._context.mask, found)
            at = self._clock.recorded_at()
            evolve(self._state, Recorded(self._job_id, self._state.version + 1, at, event))


def _asks_ledger(definition: StepDef) -> bool:
    return definition.cache == "ledger" and (
        definition.facts.calls_model or definition.facts.runs_code
    )
