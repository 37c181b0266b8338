"""Jobs with one step `a` in each state that its kind can have, for the tests of what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.definition import ApprovalDef, ForEachDef, LoopDef, RetryDef, StepDef
from orc.ledger.events import (
    AnyEvent,
    ApprovalDecided,
    ApprovalRequested,
    BudgetExceeded,
    ChildShape,
    Failure,
    JobCancelled,
    JobFailed,
    JobInterrupted,
    JobSucceeded,
    JobWaiting,
    StepExpanded,
)
from tests.builders import (
    cache_hit,
    failed,
    interrupted,
    placed,
    requested,
    responded,
    resumed,
    reused,
    skipped,
    started,
    step,
    succeeded,
    switched,
    tool_called,
    tool_returned,
)
from tests.projections.support import Story, begun

END = JobSucceeded()


class State(Struct, frozen=True):
    """A state of a step: its definition, the events that lead to it, and whether a process runs it."""

    step: StepDef
    events: tuple[AnyEvent, ...]
    is_live: bool = False
    others: tuple[StepDef, ...] = ()

    def story(self) -> Story:
        """The job in that state."""
        return begun(*self.others, self.step).record(*self.events)


def _requested(step_id: str, **fields: Any) -> AnyEvent:
    asked = {"messages": [{"role": "user", "content": "?"}], "system": None}
    return requested(step_id, asked=asked, **fields)


def _run(*events: AnyEvent, live: bool = False, **fields: Any) -> State:
    return State(step("a", kind="run", run="true", **fields), events, live)


def _prompt(*events: AnyEvent, live: bool = False, **fields: Any) -> State:
    return State(step("a", prompt="?", **fields), events, live)


def _approval(*events: AnyEvent, **fields: Any) -> State:
    asked = ApprovalRequested(
        step="a", attempt=1, message="Ship\n  it?", options=("approve", "reject")
    )
    definition = step("a", kind="approval", approval=ApprovalDef(message="?"), **fields)
    return State(definition, (started("a", kind="approval"), asked, *events))


def _decided(option: str, by: str | None = "me", comment: str | None = None) -> AnyEvent:
    return ApprovalDecided(step="a", attempt=1, option=option, by=by, comment=comment)


def _grown(*children: str, kind: str = "run") -> AnyEvent:
    shapes = (ChildShape(kind=kind, needs=()),)
    return StepExpanded(
        step="a", attempt=1, children=children, first=0, total=len(children), shapes=shapes
    )


def _each(*events: AnyEvent, live: bool = False, **fields: Any) -> State:
    definition = step("a", kind="run", run="true", for_each=ForEachDef(items=[1, 2]), **fields)
    begin = (started("a", kind="for_each"), _grown("a[0]", "a[1]"))
    return State(definition, (*begin, *events), live)


def _asking(*events: AnyEvent) -> State:
    definition = step("a", prompt="?", for_each=ForEachDef(items=[1, 2]))
    begin = (started("a", kind="for_each"), _grown("a[0]", "a[1]", kind="prompt"))
    return State(definition, (*begin, *events))


def _group(*events: AnyEvent, **fields: Any) -> State:
    members = (step("x", kind="run", run="true"), step("y", kind="run", run="true"))
    definition = step("a", kind="group", steps=members, **fields)
    return State(definition, (started("a", kind="group"), _grown("a/x", "a/y"), *events))


def _asked(step_id: str) -> AnyEvent:
    return ApprovalRequested(
        step=step_id, attempt=1, message="Ship?", options=("approve", "reject")
    )


def _over(step_id: str) -> AnyEvent:
    return replace(_BUDGET, step=step_id)


def _paused(*steps: str) -> AnyEvent:
    return JobWaiting(reason="approval", steps=steps)


def _loop(*events: AnyEvent) -> State:
    loop = LoopDef(until="false", max_iterations=2)
    definition = step("a", kind="run", run="true", loop=loop)
    return State(definition, (started("a", kind="loop"), _grown("a#1"), *events))


_FAILED = JobFailed(
    failures=(Failure(step="a", kind="exit_code", message="broke"),), failures_total=1
)
_BROKE: dict[str, Any] = {"kind": "exit_code", "message": "line 1\nline 2"}
_BUDGET = BudgetExceeded(
    step="a", attempt=1, limit="max_calls", maximum=1, spent=1, needed=1, duration_s=0.0
)
_SIGNAL = JobInterrupted(signal="SIGINT")
_EXHAUSTED = "`until` was still false after 2 rounds: false"
_TOOL_ERROR = replace(tool_returned("a"), is_error=True)
_NEEDY = (step("b", kind="run", run="true"),)


def _behind(*events: AnyEvent, **fields: Any) -> State:
    definition = step("a", kind="run", run="true", needs="b", **fields)
    return State(definition, (started("b"), *events), others=_NEEDY)


STATES: dict[str, Callable[[], State]] = {
    "run pending, live": lambda: _run(live=True),
    "run pending, no process": lambda: _run(),
    "run pending behind another": lambda: _behind(),
    "run running, live": lambda: _run(started("a"), live=True),
    "run running, no process": lambda: _run(started("a")),
    "run interrupted by a signal": lambda: _run(
        started("a"), interrupted("a", reason="signal"), _SIGNAL
    ),
    "run interrupted by a crash": lambda: _run(
        started("a"), resumed(), interrupted("a", reason="crash"), live=True
    ),
    "run succeeded": lambda: _run(started("a"), succeeded("a"), END),
    "run succeeded with a warning": lambda: _run(
        started("a"), succeeded("a", warning="the log was cut at its limit"), END
    ),
    "run failed": lambda: _run(started("a"), failed("a", **_BROKE), _FAILED),
    "run timed out": lambda: _run(
        started("a"), failed("a", message="the attempt took longer"), _FAILED
    ),
    "run failed, tolerated": lambda: _run(
        started("a"), failed("a", tolerated=True, **_BROKE), END, continue_on_error=True
    ),
    "run waiting for a retry": lambda: _run(
        started("a"),
        failed("a", retry_at=9.0, **_BROKE),
        live=True,
        retry=RetryDef(max_attempts=2),
    ),
    "run succeeded after a retry": lambda: _run(
        started("a"),
        failed("a", retry_at=9.0, **_BROKE),
        started("a", 2),
        succeeded("a", 2),
        END,
        retry=RetryDef(max_attempts=2),
    ),
    "run cancelled": lambda: _run(
        started("a"), interrupted("a", reason="cancel"), JobCancelled(reason="no\nmore")
    ),
    "run skipped by its condition": lambda: _run(
        skipped("a", reason="condition", condition="inputs.x"), END, condition="inputs.x"
    ),
    "run skipped by a failure": lambda: _behind(failed("b", **_BROKE), skipped("a", "b"), _FAILED),
    "run reused by a fork": lambda: _run(reused("a"), END),
    "run from the cache": lambda: _run(reused("a", reason="cache"), END),
    "run queued on an executor": lambda: _run(started("a", executor="c"), live=True, executor="c"),
    "run placed on an executor": lambda: _run(
        started("a", executor="c"), placed("a", executor="c"), live=True, executor="c"
    ),
    "run in doubt": lambda: _run(
        started("a"),
        resumed(),
        interrupted("a", reason="crash"),
        ApprovalRequested(step="a", attempt=1, message="Again?", options=("approve", "reject")),
        JobWaiting(reason="in_doubt", steps=("a",)),
        on_unknown="ask",
    ),
    "value succeeded": lambda: State(step("a"), (started("a"), succeeded("a"), END)),
    "prompt running, live": lambda: _prompt(started("a"), _requested("a"), live=True),
    "prompt running, no process": lambda: _prompt(started("a"), _requested("a")),
    "prompt succeeded": lambda: _prompt(
        started("a"), _requested("a"), responded("a"), succeeded("a"), END
    ),
    "prompt with a corrected reply": lambda: _prompt(
        started("a"),
        _requested("a"),
        responded("a"),
        _requested("a", call=2, corrects="the reply\nis not JSON"),
        responded("a", call=2),
        succeeded("a"),
        END,
        repair=1,
    ),
    "prompt with an error of a tool": lambda: _prompt(
        started("a"),
        _requested("a"),
        replace(responded("a"), finish_reason="tool_calls"),
        tool_called("a"),
        _TOOL_ERROR,
        _requested("a", call=2),
        responded("a", call=2),
        succeeded("a"),
        END,
    ),
    "prompt that fell back": lambda: _prompt(
        started("a"),
        failed("a", kind="rate_limit", retry_at=2.0, message="slow down"),
        switched("a", message="rate_limit: slow down"),
        started("a", 2),
        succeeded("a", 2),
        END,
    ),
    "prompt from the reply cache": lambda: _prompt(
        started("a"), cache_hit("a", 1, 1, 1), succeeded("a"), END
    ),
    "prompt waiting for a budget": lambda: _prompt(
        started("a"), _BUDGET, JobWaiting(reason="budget", steps=("a",))
    ),
    "approval waiting, live": lambda: replace(_approval(), is_live=True),
    "approval waiting": lambda: _approval(JobWaiting(reason="approval", steps=("a",))),
    "approval approved": lambda: _approval(
        _decided("approve", comment="fine\nreally"), succeeded("a"), END
    ),
    "approval rejected": lambda: _approval(
        _decided("reject"), failed("a", kind="rejected", message="rejected by me"), _FAILED
    ),
    "approval rejected, tolerated": lambda: _approval(
        _decided("reject", by=None),
        failed("a", kind="rejected", message="rejected: no decision", tolerated=True),
        END,
        continue_on_error=True,
    ),
    "for_each running, live": lambda: _each(started("a[0]"), live=True),
    "for_each running, no process": lambda: _each(started("a[0]")),
    "for_each with tolerated items": lambda: _each(
        started("a[0]"),
        failed("a[0]", tolerated=True, **_BROKE),
        started("a[1]"),
        succeeded("a[1]"),
        succeeded("a"),
        END,
        continue_on_error=True,
    ),
    "for_each failed": lambda: _each(
        started("a[0]"),
        failed("a[0]", **_BROKE),
        started("a[1]"),
        succeeded("a[1]"),
        failed("a", message="1 of 2 failed: a[0]: line 1\nline 2", kind="exit_code"),
        _FAILED,
    ),
    "for_each of prompts": lambda: _asking(
        started("a[0]"),
        _requested("a[0]"),
        responded("a[0]"),
        succeeded("a[0]"),
        started("a[1]"),
        _requested("a[1]"),
        responded("a[1]"),
        succeeded("a[1]"),
        succeeded("a"),
        END,
    ),
    "group failed, tolerated": lambda: _group(
        started("a/x"),
        failed("a/x", **_BROKE),
        started("a/y"),
        succeeded("a/y"),
        failed("a", message="1 of 2 failed: a/x", kind="exit_code", tolerated=True),
        END,
        continue_on_error=True,
    ),
    "run waiting for a retry, no process": lambda: _run(
        started("a"), failed("a", retry_at=9.0, **_BROKE), _SIGNAL, retry=RetryDef(max_attempts=2)
    ),
    "for_each waiting for a person": lambda: _each(
        started("a[0]"), _asked("a[0]"), started("a[1]"), succeeded("a[1]"), _paused("a[0]")
    ),
    "for_each waiting for a person, live": lambda: _each(
        started("a[0]"), _asked("a[0]"), started("a[1]"), _asked("a[1]"), live=True
    ),
    "for_each of which one item waits and one runs": lambda: _each(
        started("a[0]"), _asked("a[0]"), started("a[1]"), live=True
    ),
    "for_each of which one item waited when the process died": lambda: _each(
        started("a[0]"), _asked("a[0]"), started("a[1]")
    ),
    "for_each waiting for a retry": lambda: _each(
        started("a[0]"), failed("a[0]", retry_at=9.0, **_BROKE), live=True
    ),
    "for_each waiting for a retry, no process": lambda: _each(
        started("a[0]"), failed("a[0]", retry_at=9.0, **_BROKE), _SIGNAL
    ),
    "for_each waiting for a person and a budget": lambda: _asking(
        started("a[0]"), _asked("a[0]"), started("a[1]"), _over("a[1]"), _paused("a[0]", "a[1]")
    ),
    "for_each with items that were not reached": lambda: _asking(
        started("a[0]"), _over("a[0]"), JobWaiting(reason="budget", steps=("a[0]",))
    ),
    "for_each behind a budget": lambda: replace(
        _each(started("b"), _over("b"), JobWaiting(reason="budget", steps=("b",))),
        others=(step("b", prompt="?"),),
    ),
    "group waiting for a person": lambda: _group(
        started("a/x"), _asked("a/x"), started("a/y"), _asked("a/y"), _paused("a/x", "a/y")
    ),
    "group whose members have ended": lambda: _group(
        started("a/x"), succeeded("a/x"), started("a/y"), succeeded("a/y"), _paused("b")
    ),
    "loop waiting for a person": lambda: _loop(started("a#1"), _asked("a#1"), _paused("a#1")),
    "loop exhausted": lambda: _loop(
        started("a#1"), succeeded("a#1"), succeeded("a", warning=_EXHAUSTED), END
    ),
}
"""Each state by a name: the kind of the step, and what has happened."""
