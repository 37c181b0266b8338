"""Runs a job of the model with the real runner on a real ledger, on a clock that the test controls."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import trio
from trio.testing import MockClock

from orc.cli.jobs.state import load_state
from orc.cli.jobs.sync import first_error
from orc.ledger import JobId, Ledger, LedgerReader, Recorded, open_ledger
from orc.ledger.definition import CircuitDef, JobDef, RateDef, RetryDef, StepDef, TargetDef
from orc.ledger.events import AnyEvent
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel, ReplyCache
from orc.providers import Provider
from orc.scheduler.budget_gate import PriceCall, unknown_price
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import Command, ResumeJob, StartJob
from orc.scheduler.core.fold.evolve import JobState, evolve
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.executors.remote import RemoteExecutor
from orc.scheduler.folders.workspace import Workspace
from orc.scheduler.runner import Runner
from tests.builders import EPOCH_S, JOB, OWNER, at, fold_recorded, job, record, step, submitted
from tests.empty_ledger import copy_empty_ledger
from tests.model import NEVER, Plan, Task
from tests.scheduler.scripted import ScriptedModel

REAL_LIMIT_S = 60.0
VIRTUAL_LIMIT_S = 10_000.0


class Crash(Exception):
    """Simulates the death of the process."""


@dataclass
class Stand:
    """A ledger in its own folder with one job, to run, crash and resume."""

    plan: Plan
    folder: Path
    models: Mapping[str, Any]
    definition: JobDef
    environment: dict[str, str] = field(default_factory=dict)
    job_id: JobId = JOB
    price: PriceCall = unknown_price
    wall_s: float = EPOCH_S
    """When the next run begins, by the wall's clock."""

    _reader: LedgerReader | None = None

    @property
    def database(self) -> Path:
        return self.folder / "runs.db"

    def open(self) -> Ledger:
        return open_ledger(self.database, projector=ReadModel(), mask=NO_MASK)

    @property
    def reader(self) -> LedgerReader:
        """Reads what is stored; it stays open, since most time of a short run is for opening files."""
        if self._reader is None:
            self._reader = LedgerReader.open(self.database)
        return self._reader

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def stream(self) -> list[Recorded]:
        return list(self.reader.read_stream(self.job_id))

    def state(self) -> JobState:
        return load_state(self.reader, self.job_id)

    def output(self, step_id: str) -> Any:
        return self.outputs(step_id)[step_id]

    def outputs(self, *step_ids: str) -> dict[str, Any]:
        steps = self.state().steps
        return {name: self.reader.read_payload(steps[name].output) for name in step_ids}

    def submit(self) -> None:
        with self.open() as ledger:
            event = submitted(self.definition, runs_dir=str(self.folder))
            ledger.append(record([event], job_id=self.job_id, seconds=self.wall_s - EPOCH_S))

    def append(self, *events: AnyEvent) -> None:
        """Append events to the stream without checks."""
        with self.open() as ledger:
            version = ledger.head(self.job_id).version
            seconds = self.wall_s - EPOCH_S
            batch = record(events, job_id=self.job_id, after=version, seconds=seconds)
            ledger.append(batch)

    def leave_signal(self, kind: str, **data: Any) -> int:
        """Send a signal as another process would; return its id."""
        created_at = at(self.wall_s - EPOCH_S)
        with self.open() as ledger:
            return ledger.send_signal(self.job_id, kind=kind, data=data, created_at=created_at)

    def act(self, command: Command) -> JobState:
        """Apply a command while the job is not running; return the state after it."""
        with self.open() as ledger:
            state = load_state(ledger, self.job_id)
            events = decide(state, command)
            seconds = self.wall_s - EPOCH_S
            batch = record(events, job_id=self.job_id, after=state.version, seconds=seconds)
            ledger.append(batch)
            for recorded in batch:
                evolve(state, recorded)
            return state

    def truncate(self, stream: Sequence[Recorded], source: Stand) -> None:
        """Fill this ledger with the beginning of another one's stream, and with all its blobs."""
        with self.open() as ledger:
            rows = source.reader.connection.execute("SELECT content FROM blobs")
            blobs = [row[0] for row in rows]
            content = [blob.encode() if isinstance(blob, str) else blob for blob in blobs]
            ledger.append(stream, blobs=content)
        for model in self.models.values():
            model.recall(stream)

    def run(
        self,
        *,
        observe: Callable[[float, Sequence[Recorded]], None] = lambda now, batch: None,
        beside: Callable[[Runner, Ledger], Any] | None = None,
        commits: float = NEVER,
        dies: str = "after",
        wall: Callable[[float], float] = lambda seconds: seconds,
        opening: Command | None = None,
        chance: float = 0.0,
        on_state: Callable[[JobState, Sequence[Recorded]], None] = lambda state, batch: None,
        limit_s: float = VIRTUAL_LIMIT_S,
        executors: Sequence[RemoteExecutor] = (),
        turn_s: float = 0.0,
    ) -> JobState:
        """Start or resume the job until it ends, stops, or dies at the given commit.

        `wall` maps the run's seconds to the wall clock's. `beside` is an async function that runs
        while the job does. With a `turn_s`, a turn goes on with the dependents of its values; without,
        it ends before them, so that the job can die there. Raises trio.TooSlowError after `limit_s`
        of the run's seconds.
        """
        clock = Clock(
            wall=lambda: self.wall_s + wall(trio.current_time()),
            chance=lambda: chance,
        )
        with self.open() as ledger:
            state = load_state(ledger, self.job_id)
            if opening is None:
                fresh = state.status == "submitted"
                opening = StartJob(OWNER) if fresh else ResumeJob(OWNER)
            mortal = _Mortal(ledger, commits=commits, dies=dies)
            workspace = Workspace(
                self.folder / self.job_id, project=state.project, ledger=ledger, mask=NO_MASK
            )

            def committed(batch: Sequence[Recorded]) -> None:
                observe(trio.current_time(), batch)
                on_state(state, batch)

            runner = Runner(
                job_id=self.job_id,
                state=state,
                ledger=cast(Ledger, mortal),
                workspace=workspace,
                providers=cast(MutableMapping[str, Provider], self.models),
                cache=ReplyCache(ledger, self.job_id),
                price=self.price,
                environment=self.environment,
                clock=clock,
                observer=committed,
                executors=executors,
                mask=NO_MASK,
                turn_s=turn_s,
            )
            _run_in_own_time(self, runner, opening, ledger, beside, limit_s)
        return state


def _run_in_own_time(
    stand: Stand,
    runner: Runner,
    opening: Command,
    ledger: Ledger,
    beside: Callable[[Runner, Ledger], Any] | None,
    limit_s: float,
) -> None:
    async def main() -> None:
        try:
            with trio.fail_after(limit_s):
                async with trio.open_nursery() as nursery:
                    if beside is not None:
                        nursery.start_soon(beside, runner, ledger)
                    await runner.run(opening)
                    nursery.cancel_scope.cancel()
        finally:
            stand.wall_s += trio.current_time()

    try:
        with _real_limit():
            trio.run(main, clock=MockClock(autojump_threshold=0))
    except BaseExceptionGroup as group:
        raise first_error(group) from group


@contextmanager
def _real_limit() -> Iterator[None]:
    """A limit in real time: with autojump, a hang is a busy loop or an endless sleep."""

    def stop(number: int, frame: Any) -> None:
        raise TimeoutError(f"the run took more than {REAL_LIMIT_S} real seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, REAL_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Mortal:
    """A ledger that simulates the death of the process before or after a commit."""

    def __init__(self, ledger: Ledger, *, commits: float, dies: str) -> None:
        self._ledger = ledger
        self._left = commits
        self._dies = dies

    def append(self, batch: Sequence[Recorded], **content: Any) -> None:
        self._left -= 1
        if self._left <= 0 and self._dies == "before":
            raise Crash
        self._ledger.append(batch, **content)
        if self._left <= 0:
            raise Crash

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


@contextmanager
def stand_for(
    plan: Plan, definition: JobDef | None = None, models: Mapping[str, Any] | None = None
) -> Iterator[Stand]:
    """A new ledger in a temporary folder, with the plan's job submitted."""
    with empty_stand(plan, definition, models) as stand:
        stand.submit()
        yield stand


@contextmanager
def empty_stand(
    plan: Plan, definition: JobDef | None = None, models: Mapping[str, Any] | None = None
) -> Iterator[Stand]:
    """A new ledger in a temporary folder, for the plan's job, without its submission."""
    folder = Path(tempfile.mkdtemp())
    lanes = {choice.lane for task in plan.tasks for choice in task.choices if choice.lane}
    if models is None:
        models = {lane: ScriptedModel(lane, plan) for lane in sorted(lanes)}
    stand = Stand(plan, folder, models, definition or definition_of(plan))
    copy_empty_ledger(stand.database)
    try:
        yield stand
    finally:
        stand.close()
        with suppress(OSError):
            shutil.rmtree(folder)


def definition_of(plan: Plan) -> JobDef:
    """The definition of the plan's job: prompts in lanes, values outside them."""
    return job(
        *(_definition_of(task) for task in plan.tasks),
        total=plan.total,
        lanes=plan.limits,
        timeout_s=None if plan.timeout_s == NEVER else plan.timeout_s,
        circuit=CircuitDef(threshold=plan.threshold, cooldown_s=plan.cooldown_s),
        rate={
            lane: RateDef(
                requests_per_min=plan.rates.get(lane), tokens_per_min=plan.token_rates.get(lane)
            )
            for lane in sorted({*plan.rates, *plan.token_rates})
        },
    )


def _definition_of(task: Task) -> StepDef:
    text = " ".join([task.id, *(f"${{{{ steps['{name}'].output }}}}" for name in task.needs)])
    if not task.lane:
        return step(task.id, needs=task.needs, value=text, continue_on_error=task.tolerated)
    return step(
        task.id,
        needs=task.needs,
        prompt=text,
        provider=task.lane,
        model=task.model,
        fallback=tuple(
            TargetDef(provider=choice.lane, model=choice.model) for choice in task.fallback
        ),
        format="json",
        retry=RetryDef(
            max_attempts=task.attempts_max,
            backoff=cast(Any, task.backoff),
            initial_s=task.initial_s,
            max_s=task.longest_s,
            jitter=0.0,
        ),
        retry_on=cast(Any, task.retry_on),
        attempt_timeout_s=None if task.timeout_s == NEVER else task.timeout_s,
        total_timeout_s=None if task.total_timeout_s == NEVER else task.total_timeout_s,
        continue_on_error=task.tolerated,
    )


def replayed(definition: JobDef, stream: Sequence[Recorded]) -> dict[str, Any]:
    """The summary of the state after a stream."""
    return fold_recorded(definition, stream).summary()
