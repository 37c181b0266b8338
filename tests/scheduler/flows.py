"""Jobs with conditions, fan-outs, loops, groups and approvals, as specs on their own stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orc.ledger.definition import JobDef
from orc.scheduler.core.commands import DecideApproval
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.resolve.job import build_job
from orc.scheduler.core.resolve.prompt import Settings
from orc.scheduler.core.resolve.targets import ProviderFacts
from tests.model import Plan, Task
from tests.scheduler.harness import Stand, empty_stand
from tests.scheduler.scripted import ScriptedModel

FACTS = {name: ProviderFacts("m", ()) for name in ("ollama", "alpha", "beta")}

FLOW = """
project: demo
steps:
  list: {value: [3, 1, 2]}
  each:
    for_each: ${{ steps.list.output }}
    as: n
    max_parallel: 2
    value: "${{ n * 10 }}"
  many: {if: "${{ steps.list.output | length > 5 }}", value: 1}
  after_many: {needs: many, value: 1}
  few: {needs: many, if: always(), value: "${{ steps.many.status }}"}
  draft:
    loop: {until: "steps.judge.output >= 2", max_iterations: 4}
    steps:
      write: {value: "text ${{ loop.index }} (${{ loop.previous.judge | default('none') }})"}
      judge: {needs: write, value: "${{ loop.index }}"}
  both:
    matrix: {a: [1, 2], b: [x]}
    key: "k${{ matrix.a }}"
    value: ${{ matrix.b }}${{ matrix.a }}
  end:
    value: ["${{ steps.each.output }}", "${{ steps.draft.output }}", "${{ steps.both.output }}"]
"""
ENDS = [
    [30, 10, 20],
    {"write": "text 2 (1)", "judge": 2},
    ["x1", "x2"],
]
ASKING = """
project: demo
steps:
  before: {value: the text}
  gate:
    approval: {message: "Publish ${{ steps.before.output }}?", options: [approve, later, reject]}
    continue_on_error: true
  go: {if: "steps.gate.output.decision == 'approve'", value: gone}
  stay: {if: "steps.gate.output.decision != 'approve'", value: "${{ steps.gate.output.comment }}"}
"""


def job_of(text: str, **inputs: Any) -> JobDef:
    """The job of a spec. Raises SpecError."""
    settings = Settings(providers=FACTS, inputs=inputs)
    return build_job(text, source_name="spec.yaml", settings=settings)[1]


@contextmanager
def flow_stand(text: str, **inputs: Any) -> Iterator[Stand]:
    """A stand to which the spec's job is submitted."""
    plan = Plan((Task("unused"),))
    models = {"ollama": ScriptedModel("ollama", plan)}
    with empty_stand(plan, job_of(text, **inputs), models) as stand:
        stand.submit()
        yield stand


def decide_here(stand: Stand, step: str, option: str, comment: str | None = None) -> JobState:
    """Decide for a job that is not running, as `orc approve` does."""
    return stand.act(DecideApproval(step, option, comment, "ann"))


def statuses(state: JobState) -> dict[str, str]:
    """Each step's status."""
    return {name: step.status for name, step in state.steps.items()}
