"""Scores, tags and notes of a simulated job, from a seed, and a model of what must be recorded.

The model is written from `docs/scores.md` and shares no code with the scheduler: each result of a
step with scores is scored once, after the step's end and before the job's, whatever kills the job;
a changed expression scores the results of before again; what a person sends is recorded once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger import LedgerReader, Recorded
from orc.ledger.definition import JobDef, ScoreDef, StepDef
from orc.scheduler.signals import POLL_S
from tests.scheduler.flow_stand import own_name
from tests.scheduler.watches import demand

SHARE = 0.3
"""The share of the seeds with scores, tags and notes."""
BROKEN = "broken"
PERSON = "ann"
_LIVES = 3
_TAGS = ("nightly", "baseline", "a/b")


def _length(output: Any) -> float:
    return float(len(json.dumps(output, ensure_ascii=False, sort_keys=True)))


_EXPRESSIONS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("${{ 1.5 }}", lambda output: 1.5),
    ("${{ 2 - 5 }}", lambda output: -3.0),
    ("${{ true }}", lambda output: True),
    ("${{ output | tojson | length }}", _length),
    ("${{ (output | tojson | length) % 2 == 0 }}", lambda output: _length(output) % 2 == 0),
    ("${{ project.nothing.of_that }}", lambda output: BROKEN),
    ("${{ none }}", lambda output: BROKEN),
    ("good", lambda output: BROKEN),
    ("${{ [1] }}", lambda output: BROKEN),
    ("${{ 1e300 }}", lambda output: BROKEN),
)
"""Expressions of scores, each with what it gives for an output."""
_MEANING = dict(_EXPRESSIONS)


class Sent(Struct, frozen=True):
    """What a person sends to the job while it runs."""

    life: int
    at_s: float
    kind: str
    """`score`, `tag` or `note`."""


class Assessments(Struct, frozen=True):
    """What a seed says of a job: its scores, an edit of them, and what people send."""

    definition: JobDef
    edited: JobDef | None = None
    edited_after: int = 0
    sent: tuple[Sent, ...] = ()

    def sent_in(self, life: int) -> Sequence[Sent]:
        """What people send in a life, in order."""
        found = [one for one in self.sent if one.life == life]
        return sorted(found, key=lambda one: one.at_s)


def random_assessments(chance: Random, definition: JobDef) -> Assessments:
    """The job with scores, and what people say of it. Most seeds have nothing of this."""
    if chance.random() >= SHARE:
        return Assessments(definition)
    ids = [step.id for step in definition.steps]
    scored = _with_scores(chance, definition, ids)
    edited = None
    if chance.random() < 0.5:
        edited = _edited(chance, scored)
    sent = tuple(
        Sent(
            chance.randint(0, _LIVES - 1),
            min(chance.randint(0, 64 * 4), chance.randint(0, 64 * 4)) / 64,
            chance.choice(("score", "score", "tag", "tag", "note")),
        )
        for _ in range(chance.randint(0, 6))
    )
    return Assessments(scored, edited, chance.randint(0, _LIVES - 1), sent)


def _with_scores(chance: Random, definition: JobDef, ids: Sequence[str]) -> JobDef:
    def scored(step: StepDef) -> StepDef:
        found: dict[str, Any] = {"steps": tuple(map(scored, step.steps))}
        if chance.random() < 0.6:
            names = chance.sample(("right", "size", "odd"), chance.randint(1, 3))
            found["score"] = {name: _score(chance, step, ids) for name in names}
        return replace(step, **found)

    return replace(definition, steps=tuple(map(scored, definition.steps)))


def _score(chance: Random, step: StepDef, ids: Sequence[str]) -> ScoreDef:
    of = None
    judged = [name for name in step.needs if name in ids]
    if step.id in ids and chance.random() < 0.4:
        # A judge also has a step that is not there, and an item that may not be there.
        of = chance.choice([*judged, *(f"{name}[0]" for name in judged), "nobody"])
    why = "because ${{ output | tojson | length }}" if chance.random() < 0.4 else None
    return ScoreDef(value=chance.choice(_EXPRESSIONS)[0], why=why, of=of)


def _edited(chance: Random, definition: JobDef) -> JobDef:
    """The job with other expressions of some scores, and without others: no change of its work."""

    def edited(step: StepDef) -> StepDef:
        score = {
            name: replace(found, value=chance.choice(_EXPRESSIONS)[0])
            if chance.random() < 0.5
            else found
            for name, found in step.score.items()
            if chance.random() < 0.8
        }
        steps = tuple(map(edited, step.steps))
        return replace(step, steps=steps, score=score)

    return replace(definition, steps=tuple(map(edited, definition.steps)))


@dataclass
class _Result:
    """The last end of a step, and what is left to score of it."""

    status: str = ""
    attempts: int = 0
    output: Any = None
    due: bool = False


@dataclass
class ScoreModel:
    """Checks the scores, tags and notes of a job. Raises Objection."""

    definition: JobDef
    edited: JobDef | None = None
    tags: dict[str, None] = field(default_factory=dict)
    notes: int = 0
    recorded: dict[tuple[str, str, str], tuple[Any, Recorded]] = field(default_factory=dict)
    """The last score of each step, name and giver, with the output that it is about."""
    sent: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The data of the signals of people that no event has answered."""
    unanswered: dict[int, str] = field(default_factory=dict)
    """The kinds of the signals that a later process of the job has to answer."""
    _waiting: dict[int, str] = field(default_factory=dict)
    _heard: dict[int, float] = field(default_factory=dict)
    """When the process of now could know of each, in seconds of its life."""
    _results: dict[str, _Result] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    """The names of the scores that are left of the step whose scores are being recorded."""
    _opened: str = ""
    _counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    _steps: dict[str, StepDef] = field(init=False)

    def __post_init__(self) -> None:
        self._steps = {step.id: step for step in _all_steps(self.definition.steps)}
        self._results = {step.id: _Result() for step in self.definition.steps}

    def hear(self, number: int, kind: str, data: Mapping[str, Any], *, at: float) -> None:
        """Note a signal that a person has sent, at a time of a life."""
        self.sent[number], self._heard[number] = data, at
        if kind == "tag":
            # An earlier one may have nothing to change when it is read.
            self._waiting = {old: name for old, name in self._waiting.items() if name != "tag"}
            self.unanswered = {old: name for old, name in self.unanswered.items() if name != "tag"}
        self._waiting[number] = kind

    def born(self) -> None:
        """Note a new process, which reads what was sent before it."""
        self.unanswered |= self._waiting
        self._waiting.clear()
        self._heard = dict.fromkeys(self._heard, 0.0)

    def _excuse(self, now: float | None) -> None:
        """Let the end of the job, at this time of a life, come before it has looked for a signal.

        The one who sent it finds no owner then, and records it. An end that only its ledger tells of
        may have come at any time.
        """
        unseen = [number for number, at in self._heard.items() if now is None or now <= at + POLL_S]
        for number in unseen:
            self._waiting.pop(number, None)
            self.unanswered.pop(number, None)

    def observe(self, batch: Iterable[Recorded], *, now: float | None) -> None:
        """Check committed events, and when in a life they were; None after it."""
        for recorded in batch:
            event: Any = recorded.event
            for waiting in (self._waiting, self.unanswered):
                waiting.pop(getattr(event, "signal_id", None) or 0, None)
            is_own = event.type == "score.recorded" and event.who != "human"
            demand(not self._open or is_own, f"{self._opened}: {self._open} are not recorded")
            match event.type:
                case "score.recorded":
                    self._scored(recorded, event)
                case "job.tagged":
                    self._tagged(event)
                case "job.noted":
                    self._noted(event)
                case "job.amended":
                    self._amended(event)
                case "job.succeeded" | "job.failed":
                    left = [name for name, result in self._results.items() if result.due]
                    is_late = any(failure.step is None for failure in _failures(event))
                    demand(not left or is_late, f"{event.type} before {left} are scored")
                    self._excuse(now)
                case "job.cancelled":
                    self._excuse(now)
                case "step.expanded":
                    self._results |= {name: _Result() for name in event.children}
                case "step.started":
                    self._results[event.step].attempts = event.attempt
                    if event.attempt > 1:
                        # The scores were those of another result.
                        self._drop(key for key in self.recorded if key[0] == event.step)
                case "step.succeeded":
                    self._ended(event)
                case "step.failed" | "step.skipped":
                    self._results[event.step].status = event.type.removeprefix("step.")

    def _ended(self, event: Any) -> None:
        result = self._results[event.step]
        result.status, result.output = "succeeded", event.output
        result.due = bool(self._scores_of(event.step))

    def _scores_of(self, name: str) -> Mapping[str, ScoreDef]:
        """The scores that the result of a step gets: an item, but no fan-out and no round."""
        last = name.rpartition("/")[2]
        step = self._steps[own_name(name)]
        if "#" in last or (step.for_each is not None and "[" not in last):
            return {}
        return step.score

    def _scored(self, recorded: Recorded, event: Any) -> None:
        demand(event.step in self._results, f"a score of {event.step}, which is not there")
        about = self._results[event.step]
        demand(event.attempt == about.attempts, f"{event.step}: a score of {event.attempt}")
        if event.who == "human":
            self._scored_by_person(recorded, event)
            return
        giver = self._results[event.by_step]
        if not self._open:
            demand(giver.due, f"{event.by_step} is scored, and nothing is due")
            demand(giver.status == "succeeded", f"{event.by_step} is scored as {giver.status}")
            giver.due = False
            self._opened, self._open = event.by_step, list(self._scores_of(event.by_step))
        demand(event.by_step == self._opened, f"{event.by_step} is scored within {self._opened}")
        demand(event.name in self._open, f"{event.by_step} has {event.name} twice")
        self._open.remove(event.name)
        definition = self._scores_of(event.by_step)[event.name]
        is_there = definition.of is None or definition.of in self._results
        told = definition.of if definition.of is not None and is_there else event.by_step
        demand(event.step == told, f"{event.by_step}: a score of {event.step}, not of {told}")
        who = "expression" if event.step == event.by_step else "judge"
        demand(event.who == who, f"{event.by_step} scores as {event.who}")
        has_why = definition.why is not None and event.error is None
        demand((event.why is not None) == has_why, f"{event.by_step}: why {event.why}")
        expected = _MEANING[definition.value] if is_there else (lambda output: BROKEN)
        kept = (expected, giver.output)
        self.recorded[event.step, event.name, event.by_step] = (kept, recorded)

    def _scored_by_person(self, recorded: Recorded, event: Any) -> None:
        asked = self.sent.get(event.signal_id, {})
        demand(event.by == PERSON and event.error is None, f"{event} is of nobody")
        demand(asked.get("step") == event.step, f"{event} was not asked for")
        demand(asked["values"].get(event.name) == event.value, f"{event} was not asked for")
        self._counts[event.signal_id, event.name] += 1
        demand(self._counts[event.signal_id, event.name] == 1, f"{event} is recorded twice")
        self.recorded[event.step, event.name, f"person {event.by}"] = (None, recorded)

    def _changes(self, number: int) -> tuple[list[str], list[str]] | None:
        asked = self.sent.get(number, {})
        added = [name for name in asked.get("added", ()) if name not in self.tags]
        removed = [name for name in asked.get("removed", ()) if name in self.tags]
        return (added, removed) if added or removed else None

    def _tagged(self, event: Any) -> None:
        added, removed = self._changes(event.signal_id) or ([], [])
        demand(bool(added or removed), f"{event} changes nothing")
        demand(
            (list(event.added), list(event.removed)) == (added, removed), f"{event} is not asked"
        )
        self.tags = {name: None for name in self.tags if name not in removed}
        self.tags |= dict.fromkeys(added)

    def _noted(self, event: Any) -> None:
        asked = self.sent.get(event.signal_id, {})
        demand(event.text.value == asked.get("text"), f"{event} is not what was written")
        self._counts[event.signal_id, "note"] += 1
        demand(self._counts[event.signal_id, "note"] == 1, f"{event} is recorded twice")
        self.notes += 1

    def _amended(self, event: Any) -> None:
        assert self.edited is not None
        demand(event.reset == (), f"{event.reset} run again for another score")
        before = {step.id: step for step in self.definition.steps}
        changed = {
            step.id for step in self.edited.steps if _scores(step) != _scores(before[step.id])
        }
        demand(set(event.rescored or ()) == changed, f"{event.rescored} for {changed}")
        self.definition = self.edited
        self._steps = {step.id: step for step in _all_steps(self.definition.steps)}
        for name, result in self._results.items():
            if own_top(name) in changed and result.status == "succeeded":
                result.due = bool(self._scores_of(name))
        self._drop(key for key in self.recorded if own_top(key[2]) in changed)

    def _drop(self, keys: Iterable[tuple[str, str, str]]) -> None:
        for key in list(keys):
            del self.recorded[key]

    def check_end(self, reader: LedgerReader, job_id: str) -> None:
        """Check the values of all scores, and the tables that people read."""
        for number, kind in self.unanswered.items():
            demand(kind == "tag" and not self._changes(number), f"signal {number} had no answer")
        for kept, recorded in self.recorded.values():
            if kept is None:
                continue
            expected, output = kept
            event: Any = recorded.event
            value = expected(None if output is None else reader.read_payload(output))
            found = BROKEN if event.error is not None else event.value
            demand(found == value and type(found) is type(value), f"{event}, not {value}")
        rows = reader.connection.execute(
            "SELECT step_id, name, coalesce(by_step, 'person ' || by_person), version FROM scores"
        )
        told = {(row[0].partition("/")[2], row[1], row[2]): row[3] for row in rows}
        kept_rows = {key: recorded.version for key, (_, recorded) in self.recorded.items()}
        demand(told == kept_rows, f"the table of scores has {told}, not {kept_rows}")
        tags = {row[0] for row in reader.connection.execute("SELECT name FROM tags")}
        demand(tags == set(self.tags), f"the table of tags has {tags}, not {set(self.tags)}")
        notes = reader.connection.execute("SELECT count(*) FROM notes").fetchone()[0]
        demand(notes == self.notes, f"the table of notes has {notes}, not {self.notes}")


def message_of(
    chance: Random, kind: str, done: Sequence[str], tags: Sequence[str]
) -> dict[str, Any] | None:
    """The data of a signal of this kind about one of the steps with results; None without one."""
    if kind == "note":
        return {"text": f"note {chance.randint(0, 999)}", "by": PERSON}
    if kind == "tag":
        added = chance.sample(_TAGS, chance.randint(0, 2))
        removed = [name for name in (tags or _TAGS[:1]) if name not in added][:1]
        return {"added": added, "removed": removed, "by": PERSON}
    if not done:
        return None
    values = {"human": chance.choice((True, False, 0.5, 3.0)), "right": 1.0}
    return {"step": chance.choice(done), "values": values, "by": PERSON}


def own_top(name: str) -> str:
    """The id in the spec of the step at the top that a step belongs to."""
    return own_name(name.partition("/")[0])


def _failures(event: Any) -> Sequence[Any]:
    return getattr(event, "failures", ())


def _scores(step: StepDef) -> list[tuple[str, Any]]:
    return [(inner.id, inner.score) for inner in _all_steps((step,))]


def _all_steps(steps: Iterable[StepDef]) -> Iterable[StepDef]:
    for step in steps:
        yield step
        yield from _all_steps(step.steps)
