"""Random stories of jobs with fan-outs, loops and groups: amended, reset, reused and stopped."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from orc.ledger import JobId, Payload, pack
from orc.ledger.definition import ForEachDef, JobDef, LoopDef, RetryDef, StepDef
from orc.scheduler.core.commands import (
    AmendJob,
    CancelJob,
    Command,
    ExpandStep,
    Failed,
    FinishAttempt,
    Interrupted,
    InterruptJob,
    ResumeJob,
    ReuseStep,
    Settle,
    SkipStep,
    StartJob,
    Succeeded,
    TimeOutJob,
)
from orc.scheduler.core.fold.containers import child_ids, round_id
from orc.scheduler.core.fold.graph import reachable
from orc.scheduler.core.rules.files import can_own
from tests.builders import EPOCH_S, JOB, OWNER, amended, job, reused, step
from tests.projections.support import Story

_TEXTS = (b"one", b"two", b"\x00bytes", b"")
_LOGS = (None, "printed\n", "long " * 300)
_SHAPES = ("plain", "plain", "fan", "group", "fan of groups", "loop")
_mostly = st.sampled_from((True, True, True, False))
_endings: st.SearchStrategy[Command] = st.sampled_from(
    list[Command]((InterruptJob("SIGTERM"), CancelJob(reason="no"), TimeOutJob()))
)


@st.composite
def contained_stories(draw: st.DrawFn, job_id: JobId = JOB) -> Story:
    """A course of events that the core allows, for a job whose steps may contain others."""
    story = Story(draw(_jobs()), job_id=job_id)
    if draw(_mostly):
        story.tell(StartJob(OWNER))
    for _ in range(draw(st.integers(0, 40))):
        _happen(draw, story)
    return story


@st.composite
def _jobs(draw: st.DrawFn) -> JobDef:
    count = draw(st.integers(1, 4))
    return job(*(draw(_steps(f"s{index}", index)) for index in range(count)), timeout_s=60.0)


@st.composite
def _steps(draw: st.DrawFn, name: str, index: int) -> StepDef:
    before = [f"s{number}" for number in range(index)]
    needs = draw(st.lists(st.sampled_from(before), max_size=2, unique=True)) if before else []
    fields: dict[str, Any] = {"needs": needs, "continue_on_error": draw(st.booleans())}
    shape = draw(st.sampled_from(_SHAPES))
    members = (step("m", prompt="?"), step("n", needs="m"))
    match shape:
        case "plain":
            retry = RetryDef(max_attempts=draw(st.integers(1, 2)))
            return step(name, prompt="?", retry=retry, **fields)
        case "fan":
            return step(name, for_each=ForEachDef(items=[1]), **fields)
        case "group":
            return step(name, kind="group", steps=members, **fields)
        case "loop":
            loop = LoopDef(max_iterations=3)
            return step(name, kind="group", steps=members, loop=loop, **fields)
        case _:
            each = ForEachDef(items=[1])
            return step(name, kind="group", steps=members, for_each=each, **fields)


def _happen(draw: st.DrawFn, story: Story) -> None:
    state = story.state
    if state.status != "running":
        if draw(st.booleans()):
            _amend(draw, story)
        if state.status == "submitted":
            story.tell(StartJob(OWNER))
        elif state.status != "succeeded" and draw(_mostly):
            story.tell(ResumeJob(OWNER))
        return
    if not state.unfinished:
        story.tell(Settle())
        return
    active = [name for name in state.steps if _is_attempt(story, name)]
    able = [name for name in state.steps if _may_begin(story, name) or _is_gathered(story, name)]
    if draw(st.integers(0, 14)) == 0 or not (active or able):
        _stop(draw, story, active)
    elif able and (not active or draw(_mostly)):
        _begin(draw, story, draw(st.sampled_from(able)))
    else:
        _act(draw, story, draw(st.sampled_from(active)))


def _is_attempt(story: Story, name: str) -> bool:
    return (
        story.state.steps[name].status == "running" and story.state.graph.steps[name].shape is None
    )


def _is_gathered(story: Story, name: str) -> bool:
    found = story.state.steps[name]
    return found.status == "running" and found.inside is not None and not found.inside.open


def _may_begin(story: Story, name: str) -> bool:
    found = story.state.steps[name]
    if found.status not in ("pending", "waiting"):
        return False
    around = None if found.parent is None else story.state.steps[found.parent].status
    return (found.is_shut or not found.needs_left) and around in (None, "running")


def _begin(draw: st.DrawFn, story: Story, name: str) -> None:
    state = story.state
    found, definition = state.steps[name], state.graph.steps[name]
    if _is_gathered(story, name):
        _gather(draw, story, name)
    elif found.is_shut or (found.status == "pending" and draw(st.integers(0, 9)) == 0):
        story.tell(SkipStep(name))
    elif definition.for_each is not None:
        keys = tuple(map(str, range(draw(st.integers(0, 3)))))
        story.tell(ExpandStep(name, child_ids(name, definition, keys)))
    elif definition.is_loop:
        story.tell(ExpandStep(name, (round_id(name, 1),)))
    elif definition.has_members:
        story.tell(ExpandStep(name, child_ids(name, definition)))
    elif found.status == "pending" and draw(st.integers(0, 3)) == 0:
        _reuse(draw, story, name)
    else:
        story.start(name)


def _gather(draw: st.DrawFn, story: Story, name: str) -> None:
    state = story.state
    inside, definition = state.steps[name].inside, state.graph.steps[name]
    assert inside is not None
    children = [state.steps[child] for child in inside.children]
    has_failed = any(child.status == "failed" and not child.tolerated for child in children)
    rounds = len(inside.children)
    if definition.is_loop and not has_failed and rounds < 3 and draw(st.booleans()):
        story.tell(ExpandStep(name, (round_id(name, rounds + 1),)))
    elif has_failed:
        _end(story, name, Failed("exit_code", "a child broke", 1.0, final=True))
    else:
        _end(story, name, Succeeded(Payload(value=[1]), 1.0))


def _reuse(draw: st.DrawFn, story: Story, name: str) -> None:
    files = [story.file(path, content) for path, content in draw(_files(name)).items()]
    artifacts = [story.file(path, content) for path, content in draw(_artifacts).items()]
    log = draw(st.sampled_from(_LOGS))
    if can_own(story.state, name, tuple(files)):
        fields = {"log": _log(story, log), "artifacts": tuple(artifacts) or None}
        story.tell(ReuseStep(reused(name, *files, output=1, reason="cache", **fields)))


def _act(draw: st.DrawFn, story: Story, name: str) -> None:
    fields: dict[str, Any] = {"log": _log(story, draw(st.sampled_from(_LOGS)))}
    artifacts = [story.file(path, content) for path, content in draw(_artifacts).items()]
    match draw(st.sampled_from(("call", "succeed", "succeed", "succeed", "fail", "interrupt"))):
        case "call":
            number = story.state.steps[name].calls_ended + 1
            ends = draw(st.sampled_from(("replied", "replied", "failed")))
            if story.state.graph.steps[name].facts.calls_model:
                story.call(name, number=number, ends=ends, text=draw(st.sampled_from(("y", "n"))))
        case "succeed":
            files = draw(_files(name))
            story.succeed(name, 1, files=files, artifacts=tuple(artifacts) or None, **fields)
        case "fail":
            kind = draw(st.sampled_from(("timeout", "path", "exit_code")))
            story.fail(name, kind=kind, artifacts=tuple(artifacts) or None, **fields)
        case _:
            _end(story, name, Interrupted(reason="signal", duration_s=0.25, **fields))


def _end(story: Story, name: str, outcome: Succeeded | Failed | Interrupted) -> None:
    attempt = story.state.steps[name].attempts
    story.tell(FinishAttempt(name, attempt, outcome, now=EPOCH_S + story.clock_s))


def _stop(draw: st.DrawFn, story: Story, active: list[str]) -> None:
    if draw(st.booleans()):
        # The process ended: no event records how the attempts ended.
        story.tell(ResumeJob(OWNER))
        return
    for name in active:
        _end(story, name, Interrupted(reason="signal", duration_s=0.25))
    story.tell(draw(_endings))


def _amend(draw: st.DrawFn, story: Story) -> None:
    """Amend the job: steps go, come, change their shape or run again, with all downstream."""
    steps = {found.id: found for found in story.state.definition.steps}
    again = draw(st.lists(st.sampled_from(list(steps)), max_size=2, unique=True))
    removed: tuple[str, ...] = ()
    match draw(st.sampled_from(("same", "same", "fewer", "more", "other", "order"))):
        case "fewer" if len(steps) > 1:
            last = [name for name in steps if not story.state.graph.dependents[name]][-1]
            del steps[last]
            removed = (last,)
        case "more":
            name = f"s{draw(st.integers(0, 5))}"
            if name not in steps:
                steps[name] = draw(_steps(name, 0))
        case "other":
            name = draw(st.sampled_from(list(steps)))
            other = draw(_steps(name, 0))
            steps[name] = replace(other, needs=steps[name].needs)
            again.append(name)
        case "order":
            turned = list(reversed(steps.values()))
            steps = {found.id: found for found in turned}
    before = story.state.graph.dependents
    reset = [name for name in reachable(before, again) if name in steps]
    definition = job(*steps.values(), timeout_s=60.0)
    story.tell(AmendJob(amended(definition, *sorted(reset), removed=removed)))


def _log(story: Story, text: str | None) -> Payload | None:
    return None if text is None else story._keep(pack(text))


def _files(name: str) -> st.SearchStrategy[dict[str, bytes]]:
    plain = name.replace("/", "-").replace("[", "-").replace("]", "").replace("#", "-")
    paths = (f"demo/{plain}.md", f"demo/{plain}/deep.txt", "demo/shared.md")
    return st.dictionaries(st.sampled_from(paths), st.sampled_from(_TEXTS), max_size=2)


_artifacts = st.dictionaries(
    st.sampled_from(("a.txt", "deep/b.txt")), st.sampled_from(_TEXTS), max_size=2
)
