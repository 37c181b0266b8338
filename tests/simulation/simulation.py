"""Simulates one seed: a job with faults and checks, with clocks and random numbers from the seed.

Each life of the job is the real runner on a real ledger. When a life dies, nothing more reaches
the ledger, and the next life knows only what was committed. After all faults, the job must reach
the end that the model predicts.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

import trio
from msgspec.structs import replace

from orc.cli.jobs.resume import start_command
from orc.ledger import Ledger, LedgerReader, Recorded, failpoints
from orc.ledger.definition import JobDef
from orc.ledger.digest import digest_json
from orc.ledger.errors import StorageError
from orc.projections import Publisher
from orc.projections.verify import Verifier
from orc.scheduler.clock import format_time
from orc.scheduler.core.commands import AmendJob, CancelJob, Command, ResumeJob, StartJob
from orc.scheduler.core.fold.compare import find_changes, plan_changes
from orc.scheduler.core.fold.evolve import JobState, evolve
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.hook_commands import EndHook
from orc.scheduler.runner import TURN_S, Runner
from tests.builders import EPOCH_S, OWNER, amended, new_state, submitted
from tests.scheduler.harness import Stand
from tests.scheduler.watches import demand
from tests.simulation.assessments import ScoreModel, Sent, message_of, random_assessments
from tests.simulation.faults import Blow, Faults, Happening, Life, random_faults
from tests.simulation.jobs import with_hooks
from tests.simulation.judge import Judge
from tests.simulation.mishaps import random_mishaps, struck_by
from tests.simulation.oracles import CancelWatch
from tests.simulation.worlds import World, random_world

LIVES_MAX = 60
EVENTS_MAX = 4000
LIFE_S_MAX = 2000.0
PUBLISH_S = 2.0
_CALM = Life()


class Death(BaseException):
    """The simulated death of the process. A BaseException, so that no error handler catches it."""


class SimulationFailed(AssertionError):
    """A check failed, or the job did not end."""


@dataclass
class Told:
    """The report of a run: its job, its events, and its faults."""

    seed: int
    definition: JobDef | None = None
    stream: list[Recorded] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def digest(self) -> str:
        """A digest of all events, including their times."""
        return digest_json(self.rows)


def simulate(seed: int) -> Told:
    """Run the seed to its end. Raises SimulationFailed with the history of the run."""
    told = Told(seed)
    try:
        _Simulation(seed, told).run()
    except Exception as error:
        last = "\n".join(told.lines[-60:])
        raise SimulationFailed(
            f"{type(error).__name__}: {error}\n{last}\n"
            f"ORC_SIM_SEED={seed} .venv/bin/python -m pytest -n0 tests/simulation\n"
            "runs this seed alone, and tells all of it"
        ) from error
    return told


class _Simulation:
    def __init__(self, seed: int, told: Told) -> None:
        chance = Random(f"simulation {seed}")
        self._seed = seed
        self._told = told
        self._publishes = chance.random() < 0.12
        self._world: World = random_world(chance, Random(f"more {seed}"))
        self._faults: Faults = random_faults(chance, publishes=self._publishes)
        self._mishaps = random_mishaps(Random(f"mishaps {seed}"))
        self._sampled = Random(f"sampled {seed}")
        self._summaries: dict[int, dict[str, Any]] = {}
        self._hooked = Random(f"hooks {seed}")
        self._world.definition = with_hooks(self._world.definition, self._hooked)
        self._cancels = CancelWatch()
        self._heard = Random(f"heard {seed}")
        self._assessed = random_assessments(Random(f"assessments {seed}"), self._world.definition)
        self._world.definition = self._assessed.definition
        self._scores = ScoreModel(self._assessed.definition, self._assessed.edited)
        self._judge = Judge(self._world.definition)
        told.definition = self._world.definition
        self._state: JobState | None = None
        self._versions = 0

    def run(self) -> None:
        with self._world.stand() as stand:
            stand.append(submitted(self._world.definition))
            self._catch_up(stand)
            state = self._live_on(stand)
            self._check_end(stand, state)

    def _live_on(self, stand: Stand) -> JobState:
        """Run one life after another, until the job has ended and no faults are left."""
        state = stand.state()
        for number in range(LIVES_MAX):
            lives = self._faults.lives
            life = lives[number] if number < len(lives) else _CALM
            self._told.say(f"-- life {number + 1}: {life}")
            state = self._live(stand, state, life, number)
            state = self._between(stand, life, self._end_hook(stand, state))
            is_faulty = number + 1 < len(lives)
            if self._assessed.edited is not None and self._assessed.edited_after == number:
                state = self._amend(stand, state, self._assessed.edited)
                continue
            if state.status == "succeeded":
                return state
            if state.status == "failed" and not (is_faulty and self._faults.insists):
                return state
            if state.status == "waiting":
                self._world.answer(stand, state, number)
                self._catch_up(stand)
        raise AssertionError(f"the job is {state.status} after {LIVES_MAX} lives")

    def _live(self, stand: Stand, before: JobState, life: Life, number: int) -> JobState:
        process = _Process(self, stand, life, self._assessed.sent_in(number))
        self._cancels.born()
        self._scores.born()
        began_s = stand.wall_s - EPOCH_S
        self._is_stopping = False

        def observe(now: float, batch: Sequence[Recorded]) -> None:
            self._tell(now, batch)
            events = [recorded.event for recorded in batch]
            self._cancels.observe(now, events)
            is_stopping = self._is_stopping or bool(self._cancels.pending)
            self._world.observe(began_s + now, events, is_stopping=is_stopping)

        self._state = before

        def keep(state: JobState, batch: Sequence[Recorded]) -> None:
            self._state = state
            if self._sampled.random() < 0.25:
                self._summaries[state.version] = state.summary()

        state: JobState | None = None
        try:
            with (
                _seeded(f"{self._seed} {number}"),
                process.followed(),
                struck_by(self._mishaps, self.befall),
            ):
                state = stand.run(
                    observe=observe,
                    on_state=keep,
                    beside=process.beside,
                    wall=lambda seconds: seconds + process.jumped_s,
                    opening=_opening(stand, before),
                    limit_s=LIFE_S_MAX,
                    turn_s=TURN_S * (self._seed % 2),
                )
                process.publish()
        except BaseException as error:
            self._take(error, process)
        stand.wall_s += process.jumped_s
        # The last commit before the death was not observed.
        seen = self._catch_up(stand)
        return stand.state() if state is None or seen else state

    def _take(self, error: BaseException, process: _Process) -> None:
        """Note how a life ended before its job, unless the error is an Objection."""
        found = list(_all_errors(error))
        left = [one for one in found if not isinstance(one, Death | StorageError | OSError)]
        left = [one for one in left if not isinstance(one, trio.Cancelled)]
        if left:
            raise left[0]
        demand(process.has_struck, f"nothing befell it, and it ended with {found}")

    def _end_hook(self, stand: Stand, state: JobState) -> JobState:
        """The command of a started hook ends, or the process dies before it says so."""
        if state.hook is None or self._hooked.random() < 0.4:
            return state
        code = self._hooked.choice((0, 0, 3))
        state = stand.act(EndHook("exited", exit_code=code, duration_s=0.0))
        self._catch_up(stand)
        return state

    def _between(self, stand: Stand, life: Life, state: JobState) -> JobState:
        stand.wall_s += life.idle_s + life.jump_s
        if not life.asked or state.status in ("succeeded", "failed", "cancelled"):
            return state
        self._told.struck[f"asked {life.asked}"] += 1
        with stand.open() as ledger:
            signal_id = self.ask_to_cancel(ledger, stand, at=0.0)
        if life.asked == "said":
            return state
        state = stand.act(CancelJob(signal_id, at_once=True))
        self._catch_up(stand)
        return state

    def ask_to_cancel(self, ledger: Ledger, stand: Stand, *, at: float) -> int:
        """Send a cancel signal."""
        created_at = format_time(stand.wall_s)
        number = ledger.send_signal(stand.job_id, kind="cancel", data={}, created_at=created_at)
        self._cancels.left(number, at)
        return number

    def decide(self, ledger: Ledger, stand: Stand) -> None:
        """Answer the open questions by signals from other processes."""
        created_at = format_time(stand.wall_s)
        assert self._state is not None
        for step, option in self._world.decisions(self._state).items():
            data = {"step": step, "option": option, "by": "ann"}
            ledger.send_signal(stand.job_id, kind="decide", data=data, created_at=created_at)

    def say_something(self, ledger: Ledger, stand: Stand, kind: str) -> None:
        """Send a score, tags or a note by a signal from another process."""
        assert self._state is not None
        done = [name for name, step in self._state.steps.items() if step.status == "succeeded"]
        data = message_of(self._heard, kind, done, tuple(self._scores.tags))
        if data is not None:
            created_at = format_time(stand.wall_s)
            number = ledger.send_signal(stand.job_id, kind=kind, data=data, created_at=created_at)
            self._scores.hear(number, kind, data, at=trio.current_time())

    def _amend(self, stand: Stand, state: JobState, edited: JobDef) -> JobState:
        """Give the job, which no process runs, other scores, as `orc resume --spec` does."""
        changes = find_changes(state.definition, edited)
        plan = plan_changes(state, build_graph(edited.steps), changes, definition=edited)
        self._told.struck["amend"] += 1
        state = stand.act(AmendJob(amended(edited, *plan.reset, rescored=plan.rescored or None)))
        self._catch_up(stand)
        return state

    def stop(self) -> None:
        """Note that the process was asked to stop: ready steps need not start."""
        self._is_stopping = True

    def befall(self, what: str) -> None:
        """Note that an exception befell the work for a step. The life must go on."""
        self.strike(what)
        self._world.is_foreseen = False

    def strike(self, what: str) -> None:
        self._told.struck[what] += 1
        self._told.say(f"   !! {what}")

    def _catch_up(self, stand: Stand) -> bool:
        with LedgerReader.open(stand.database) as reader:
            left = list(reader.read_stream(stand.job_id, after=self._versions))
        if left:
            self._tell(None, left)
        events = [recorded.event for recorded in left]
        for event in events:
            self._cancels.settle(event)
        self._world.catch_up(events)
        return bool(left)

    def _tell(self, now: float | None, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            self._versions += 1
            demand(recorded.version == self._versions, f"{recorded} after {self._versions - 1}")
            event: Any = recorded.event
            moment = "unseen" if now is None else f"{now:.6g}"
            place = f" {event.step}.{event.attempt}" if hasattr(event, "attempt") else ""
            place = place or f" {getattr(event, 'step', '')}".rstrip()
            more = getattr(event, "kind", None) or getattr(event, "signal_id", None) or ""
            self._told.say(
                f"   {recorded.version:>4} {moment:>8} {event.type}{place} {more}".rstrip()
            )
        self._judge.observe(batch)
        self._scores.observe(batch, now=now)
        demand(self._versions <= EVENTS_MAX, "it goes on for ever")

    def _check_end(self, stand: Stand, state: JobState) -> None:
        self._world.calls.check()
        self._world.check_end(stand, state)
        folder = None
        with LedgerReader.open(stand.database) as reader:
            if self._publishes:
                folder = stand.folder / stand.job_id
                _Publication(stand).publish(final=True)
            # Deriving the tables takes as long as a short life, so not every time.
            verifier = Verifier(reader, tables=self._sampled.random() < 0.3)
            verdict = verifier.check_job(stand.job_id, folder=folder)
            demand(not verdict.problems, "; ".join(verdict.problems))
            stream = self._told.stream = list(reader.read_stream(stand.job_id))
            rows = reader.connection.execute(
                "SELECT type, step, attempt, data, recorded_at FROM events ORDER BY version"
            )
            doubts = reader.connection.execute("SELECT calls_in_doubt FROM jobs").fetchone()
            self._judge.check_doubts(doubts[0])
            self._scores.check_end(reader, stand.job_id)
            self._told.rows = [tuple(row) for row in rows]
        folded = new_state(stand.definition)
        for recorded in stream:
            evolve(folded, recorded)
            kept = self._summaries.get(recorded.version)
            demand(kept in (None, folded.summary()), f"the fold to {recorded.version} differs")
        demand(folded == state, "the state is not what its events fold to")


class _Process:
    """The faults of one life, and which of them have happened."""

    def __init__(
        self, simulation: _Simulation, stand: Stand, life: Life, sent: Sequence[Sent]
    ) -> None:
        self._simulation = simulation
        self._stand = stand
        self._life = life
        self._sent = sent
        self._hits: Counter[str] = Counter()
        self._is_dead = False
        self._is_aside = False
        self._publication = _Publication(stand) if simulation._publishes else None
        self.has_struck = False
        self.jumped_s = 0.0

    @contextmanager
    def followed(self) -> Iterator[None]:
        failpoints.follow(self)
        try:
            yield
        finally:
            failpoints.follow(None)

    def hit(self, place: str) -> None:
        """See `failpoints.Follower`. After its death, a life appends nothing."""
        if self._is_aside or place.startswith("checkpoint"):
            return
        if self._is_dead:
            raise Death
        self._hits[place] += 1
        for blow in self._life.blows:
            if (blow.place, blow.count) == (place, self._hits[place]):
                self._strike(blow)

    def _strike(self, blow: Blow) -> None:
        self._simulation.strike(str(blow).partition("@")[0])
        self.has_struck = True
        if blow.deed == "die":
            self._die()
        number = getattr(errno, blow.deed)
        raise OSError(number, os.strerror(number))

    def _die(self) -> None:
        self._is_dead = True
        raise Death

    async def beside(self, runner: Runner, ledger: Ledger) -> None:
        """Run the external events while the job runs."""
        async with trio.open_nursery() as nursery:
            if self._publication is not None:
                nursery.start_soon(self._keep_published)
            if self._sent:
                nursery.start_soon(self._hear, ledger)
            for happening in self._life.happenings:
                await trio.sleep_until(happening.at_s)
                self._happen(happening, ledger)

    async def _hear(self, ledger: Ledger) -> None:
        """Let people say something of the job while it runs."""
        for sent in self._sent:
            await trio.sleep_until(sent.at_s)
            self._simulation.strike(sent.kind)
            with self._aside():
                self._simulation.say_something(ledger, self._stand, sent.kind)

    def _happen(self, happening: Happening, ledger: Ledger) -> None:
        self._simulation.strike(happening.what)
        match happening.what:
            case "die":
                self.has_struck = True
                self._die()
            case "jump":
                self.jumped_s += happening.jump_s
            case "stop":
                self._simulation.stop()
                signal.raise_signal(signal.SIGTERM)
            case "decide":
                with self._aside():
                    self._simulation.decide(ledger, self._stand)
            case _:
                with self._aside():
                    self._simulation.ask_to_cancel(ledger, self._stand, at=trio.current_time())

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Run the work of another process, which the faults of this one do not affect."""
        self._is_aside = True
        yield
        self._is_aside = False

    async def _keep_published(self) -> None:
        assert self._publication is not None
        while True:
            await trio.sleep(PUBLISH_S)
            with suppress(OSError):
                self._publication.publish(final=False)

    def publish(self) -> None:
        """Publish the run folder after the job has ended or stopped."""
        if self._publication is not None:
            self._publication.publish(final=True)


class _Publication:
    """The run folder of the job, as its owner publishes it."""

    def __init__(self, stand: Stand) -> None:
        self._reader: LedgerReader | None = None
        self._stand = stand
        self._publisher: Publisher | None = None

    def publish(self, *, final: bool) -> None:
        stand = self._stand
        with LedgerReader.open(stand.database) as reader:
            publisher = Publisher(reader, stand.job_id, stand.folder / stand.job_id)
            if final:
                publisher.sweep()
            publisher.publish(final=final)


def _opening(stand: Stand, state: JobState) -> Command:
    """The first command of a process."""
    with LedgerReader.open(stand.database) as reader:
        ledger = cast(Ledger, reader)
        command = start_command(ledger, stand.job_id, state, None, None, None, None)
    assert isinstance(command, StartJob | ResumeJob)
    return replace(command, owner=OWNER)


@contextmanager
def _seeded(text: str) -> Iterator[None]:
    """Make trio's scheduling and the sent signals depend on the seed only."""
    core: Any = trio._core._run
    before = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()
    core._ALLOW_DETERMINISTIC_SCHEDULING = True
    core._r.seed(text)
    # Not ignored: the runner would ignore it, too.
    handler = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        core._ALLOW_DETERMINISTIC_SCHEDULING = before[0]
        core._r.setstate(before[1])


def _all_errors(error: BaseException) -> Iterator[BaseException]:
    """The error and all errors in its exception groups."""
    if isinstance(error.__cause__, BaseExceptionGroup):
        error = error.__cause__
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        else:
            yield one
