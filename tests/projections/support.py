"""Ledgers for the tests of projections, with events that the real core decided."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from orc.ledger import JobId, Ledger, Payload, Recorded, open_ledger, pack
from orc.ledger.definition import JobDef, RetryDef
from orc.ledger.digest import digest_bytes, digest_json
from orc.ledger.events import (
    AnyEvent,
    CacheHit,
    FileRef,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    TokenUsage,
)
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel
from orc.projections.tables.schema import TABLES
from orc.scheduler.core.commands import (
    AmendJob,
    CancelJob,
    Command,
    ExpireStep,
    Failed,
    FinishAttempt,
    Interrupted,
    InterruptJob,
    RecordCall,
    ResumeJob,
    ReuseStep,
    Settle,
    StartAttempt,
    StartJob,
    SubmitJob,
    Succeeded,
    TimeOutJob,
)
from orc.scheduler.core.fold.evolve import JobState, evolve
from orc.scheduler.core.fold.graph import reachable
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.core.rules.files import can_own
from tests.builders import (
    EPOCH_S,
    JOB,
    OWNER,
    amended,
    at,
    job,
    new_state,
    reused,
    step,
    submitted,
)
from tests.empty_ledger import copy_empty_ledger

_mostly = st.sampled_from((True, True, True, True, False))
_endings: st.SearchStrategy[Command] = st.sampled_from(
    list[Command]((InterruptJob("SIGTERM"), CancelJob(reason="no"), TimeOutJob()))
)

OTHER = JobId("job_000000000002")


@dataclass
class Story:
    """One job whose events the core decided: its stream, its state and its blobs."""

    definition: JobDef
    job_id: JobId = JOB
    stream: list[Recorded] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    runs_dir: str = "/runs"

    def __post_init__(self) -> None:
        self.state = new_state(self.definition)
        self.clock_s = 0.0
        self.tell(SubmitJob(submitted(self.definition, runs_dir=self.runs_dir)))

    def tell(self, *commands: Command) -> Story:
        """Give the commands to the core, one second apart, and record the events that it decides."""
        for command in commands:
            self.clock_s += 1.0
            for event in decide(self.state, command):
                self.record(event)
        return self

    def record(self, *events: AnyEvent) -> Story:
        """Append events without asking the core."""
        for event in events:
            recorded = Recorded(self.job_id, self.state.version + 1, at(self.clock_s), event)
            evolve(self.state, recorded)
            self.stream.append(recorded)
        return self

    def start(self, *step_ids: str) -> Story:
        """Start an attempt of each step."""
        return self.tell(*(StartAttempt(name, EPOCH_S + self.clock_s) for name in step_ids))

    def succeed(self, step_id: str, output: Any = None, **fields: Any) -> Story:
        """End the running attempt of a step with a result; `files` maps paths to bytes."""
        files = tuple(self.file(*item) for item in fields.pop("files", {}).items())
        payload = self._keep(pack(output))
        return self._finish(step_id, Succeeded(payload, duration_s=0.5, files=files, **fields))

    def fail(self, step_id: str, **fields: Any) -> Story:
        """End the running attempt of a step with a failure."""
        fields = {"kind": "exit_code", "message": "it broke", "exit_code": 3, **fields}
        return self._finish(step_id, Failed(duration_s=0.5, **fields))

    def interrupt(self, step_id: str) -> Story:
        """End the running attempt of a step by a signal."""
        return self._finish(step_id, Interrupted(reason="signal", duration_s=0.25))

    def call(self, step_id: str, *, number: int, ends: str, text: str = "yes") -> Story:
        """Make a call in the running attempt; `ends` is replied, failed, kept (a cache hit) or open."""
        place: dict[str, Any] = {
            "step": step_id,
            "attempt": self.state.steps[step_id].attempts,
            "call": number,
        }
        asked = {"messages": [{"role": "user", "content": text}], "system": None, "n": number}
        model: dict[str, Any] = {"provider": "ollama" if number % 2 else "fake", "model": "m"}
        if ends == "kept":
            return self.tell(
                RecordCall(CacheHit(**place, request_sha256=digest_json(asked), version=1))
            )
        self.tell(
            RecordCall(
                LlmRequested(
                    **place,
                    **model,
                    request=self._keep(pack(asked)),
                    request_sha256=digest_json([step_id, asked]),
                    prompt_sha256=digest_json(asked),
                )
            )
        )
        if ends == "failed":
            return self.tell(
                RecordCall(
                    LlmFailed(**place, **model, kind="timeout", message="too late", duration_s=1.0)
                )
            )
        if ends == "open":
            return self
        return self.tell(
            RecordCall(
                LlmResponded(
                    **place,
                    **model,
                    reply=self._keep(pack({"text": text})),
                    request_sha256=digest_json([step_id, asked]),
                    finish_reason="stop",
                    usage=TokenUsage(input_tokens=3, output_tokens=len(text)),
                    duration_s=1.0,
                )
            )
        )

    def file(self, path: str, content: bytes) -> FileRef:
        """A reference to a file whose bytes become a blob of the story."""
        self.blobs.append(content)
        return FileRef(
            path=path,
            sha256=digest_bytes(content),
            size_bytes=len(content),
            media_type="text/plain",
        )

    def _finish(self, step_id: str, outcome: Succeeded | Failed | Interrupted) -> Story:
        attempt = self.state.steps[step_id].attempts
        now = EPOCH_S + self.clock_s
        return self.tell(FinishAttempt(step_id, attempt, outcome, now=now, wait_s=2.0))

    def _keep(self, packed: tuple[Payload, bytes | None]) -> Payload:
        if packed[1] is not None:
            self.blobs.append(packed[1])
        return packed[0]


def begun(*steps: Any, job_id: JobId = JOB, runs_dir: str = "/runs", **fields: Any) -> Story:
    """A started job with these steps."""
    return Story(job(*steps, **fields), job_id=job_id, runs_dir=runs_dir).tell(StartJob(OWNER))


@st.composite
def stories(draw: st.DrawFn, job_id: JobId = JOB) -> Story:
    """A job with a random graph and a random course of events that the core allows."""
    steps: list[Any] = []
    for index in range(draw(st.integers(1, 4))):
        before = [f"s{number}" for number in range(index)]
        some = st.lists(st.sampled_from(before), max_size=2, unique=True)
        needs: list[str] = draw(some) if before else []
        steps.append(
            step(
                f"s{index}",
                needs=needs,
                prompt="?",
                retry=RetryDef(max_attempts=draw(st.integers(1, 3))),
                total_timeout_s=draw(st.sampled_from((None, 1000.0))),
                continue_on_error=draw(st.booleans()),
            )
        )
    story = begun(*steps, job_id=job_id, timeout_s=60.0)
    for _ in range(draw(st.integers(1, 40))):
        _happen(draw, story)
    return story


def _happen(draw: st.DrawFn, story: Story) -> None:
    state = story.state
    if state.status != "running":
        if draw(st.booleans()):
            _amend(draw, story)
        if state.status != "succeeded" and draw(st.booleans()):
            story.tell(ResumeJob(OWNER))
        return
    active = [name for name, found in state.steps.items() if found.status == "running"]
    if bool(active) and draw(_mostly):
        _act(draw, story, draw(st.sampled_from(active)))
        return
    startable = [
        name
        for name, found in state.steps.items()
        if found.status in ("pending", "waiting") and not found.needs_left
    ]
    if bool(startable) and draw(_mostly):
        name = draw(st.sampled_from(startable))
        timed = state.graph.steps[name].total_timeout_s is not None
        if timed and state.steps[name].status == "waiting" and draw(st.booleans()):
            story.tell(ExpireStep(name))
        elif draw(st.integers(0, 3)) == 0:
            files = (story.file(f"demo/{name}.md", b"reused"),)
            if can_own(state, name, files):
                story.tell(ReuseStep(reused(name, *files, output="long " * 300)))
                story._keep(pack("long " * 300))
        else:
            story.start(name)
    elif not state.unfinished:
        story.tell(Settle())
    else:
        _stop(draw, story, active)


def _amend(draw: st.DrawFn, story: Story) -> None:
    """Amend the job: remove a step without dependents, or add one, and reset some steps."""
    state = story.state
    steps = list(state.definition.steps)
    removed: tuple[str, ...] = ()
    match draw(st.sampled_from(("same", "fewer", "more"))):
        case "fewer" if len(steps) > 1:
            last = [name for name in state.steps if not state.graph.dependents[name]][-1]
            steps = [found for found in steps if found.id != last]
            removed = (last,)
        case "more":
            steps.append(step(f"n{len(story.stream)}", needs=(steps[0].id,), prompt="?"))
            if story.state.retired:
                back = next(iter(story.state.retired))
                steps.insert(0, step(back, prompt="?"))
    ids = [found.id for found in steps if found.id in state.steps]
    named = draw(st.lists(st.sampled_from(ids), max_size=2)) if ids else []
    reset = reachable(state.graph.dependents, named) - set(removed)
    definition = job(*steps, timeout_s=60.0)
    story.tell(AmendJob(amended(definition, *sorted(reset), removed=removed)))


def _act(draw: st.DrawFn, story: Story, name: str) -> None:
    match draw(st.sampled_from(("call", "succeed", "succeed", "fail", "interrupt"))):
        case "call":
            attempt = story.state.steps[name].attempts
            made = sum(
                isinstance(recorded.event, LlmRequested | CacheHit)
                and recorded.event.step == name
                and recorded.event.attempt == attempt
                for recorded in story.stream
            )
            ends = draw(st.sampled_from(("replied", "replied", "failed", "kept", "open")))
            text = draw(st.sampled_from(("yes", "<b>no</b>", "long " * 300)))
            story.call(name, number=made + 1, ends=ends, text=text)
        case "succeed":
            paths = st.sampled_from((f"demo/{name}.md", f"demo/{name}.txt", "demo/shared.md"))
            content = st.sampled_from((b"one", b"two", b"\x00bytes"))
            files = draw(st.dictionaries(paths, content, max_size=2))
            output = draw(st.sampled_from((None, 1, {"a": [1]}, "text", "long " * 300)))
            story.succeed(name, output, files=files, log=Payload(value="printed\n"))
        case "fail":
            story.fail(name, kind=draw(st.sampled_from(("timeout", "path", "exit_code"))))
        case _:
            story.interrupt(name)


def _stop(draw: st.DrawFn, story: Story, active: Sequence[str]) -> None:
    if draw(st.booleans()):
        # The process ended: no event records how the attempts ended.
        story.tell(ResumeJob(OWNER))
        return
    for name in active:
        story.interrupt(name)
    ending: Command = draw(_endings)
    story.tell(ending)


@contextmanager
def open_in(folder: Path) -> Iterator[Ledger]:
    """The ledger in a folder, with the product's read model."""
    with open_ledger(folder / "runs.db", projector=ReadModel(), mask=NO_MASK) as ledger:
        yield ledger


@contextmanager
def ledger_of(
    *told: Story, batches: Iterable[Sequence[Recorded]] | None = None
) -> Iterator[Ledger]:
    """A ledger in a temporary folder with the stories, each appended in one batch."""
    with tempfile.TemporaryDirectory() as folder:
        copy_empty_ledger(Path(folder) / "runs.db")
        with open_in(Path(folder)) as ledger:
            write(ledger, *told, batches=batches)
            yield ledger


def write(
    ledger: Ledger, *told: Story, batches: Iterable[Sequence[Recorded]] | None = None
) -> None:
    """Append the blobs and events of the stories."""
    ledger.append_blobs(blob for story in told for blob in story.blobs)
    for batch in [story.stream for story in told] if batches is None else batches:
        ledger.append(batch)


def tables(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the read model, in order of its key."""
    return {
        table: ledger.connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        for table in TABLES
    }


def tamper(database: Path, *statements: str) -> None:
    """Change the file as an attacker would: without the triggers, which are there again afterwards."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)


def states(story: Story) -> dict[str, tuple[str, int]]:
    """The status and the number of attempts of each step in the scheduler's state."""
    state: JobState = story.state
    return {name: (found.status, found.attempts) for name, found in state.steps.items()}
