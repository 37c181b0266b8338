"""`orc plan`: what a run of a spec would do and why, and its expected and greatest cost.

What the run would do with each step is found by the rules of the run (`forecast.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from msgspec import Struct

from orc.cli.jobs.caller.read_inputs import InputReader
from orc.cli.jobs.caller.secrets import needed_steps, read_mask
from orc.cli.jobs.caller.spec_files import SpecFiles
from orc.cli.jobs.caller.step_names import check_step_names
from orc.cli.jobs.forecast import forecast_run
from orc.cli.jobs.places import Places, open_for_reading
from orc.cli.jobs.planning.worst_cost import WorstCost, worst_cost
from orc.cli.jobs.prepare import Submission, known_executors, prepare_here, spec_dir_of
from orc.cli.jobs.state import load_state, waits_inside
from orc.ledger.definition import JobDef, StepDef, walk_steps
from orc.ledger.digest import Digest
from orc.ledger.errors import RemovedBlob
from orc.ledger.money import optional_usd
from orc.ledger.wording import count_text, number_text
from orc.projections.money.prices import PriceTable
from orc.scheduler.core.fold.compare import find_changes, plan_changes
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.resolve.known_steps import has_target
from orc.scheduler.core.resolve.targets import TargetRules
from orc.scheduler.effects.targets import target_rules
from orc.scheduler.forecast import OPEN_VERDICTS, Items, StepForecast, Verdict

_BASE = "SELECT job_id FROM jobs WHERE name = ? ORDER BY position DESC LIMIT 1"
_HISTORY = (
    "SELECT count(*), avg(steps.duration_s), sum(steps.cost_nano_usd), sum(steps.calls_unpriced) "
    "FROM steps JOIN jobs USING (job_id) WHERE jobs.name = ? AND steps.name = ? "
    "AND steps.status = 'succeeded' AND steps.attempts > 0 AND (? IS NULL OR steps.model IS ?) "
    # A run that took its replies from the ledger does not say what a call costs.
    "AND (? OR steps.calls > 0)"
)
_INSIDE = (
    "SELECT sum(steps.cost_nano_usd), sum(steps.calls_unpriced), "
    "count(DISTINCT iif(steps.calls > 0, jobs.job_id, NULL)) FROM steps JOIN jobs USING (job_id) "
    "WHERE jobs.name = ? AND substr(steps.name, 1, ?) IN (?, ?, ?)"
)


class PlannedStep(Struct, frozen=True):
    """One step of a plan. None is an unknown cost or time.

    `what` is the step's model or kind, with its executor if it does not run here. `does` is what a
    run does with it: runs, cached (results or replies in the ledger take the place of its work),
    skipped, fails, asks (a person), or unknown until other steps have run. `change` compares it with
    the latest job: new, changed, upstream (a step that it depends on changes), cached or same, and
    `why` explains it. The expected values are means over `earlier_runs` runs; they are 0 for a step
    that does no work. `items` counts the items of a fan-out whose list is known.
    """

    step: str
    what: str
    needs: tuple[str, ...]
    change: str
    why: str
    expected_cost_nano_usd: int | None
    expected_duration_s: float | None
    earlier_runs: int
    worst_cost_nano_usd: int | None
    executor: str | None = None
    does: Verdict = "runs"
    items: Items | None = None
    unbounded: str | None = None
    """Why there is no worst cost."""

    @property
    def does_work(self) -> bool:
        """Whether a run may do the work of the step."""
        return self.does in OPEN_VERDICTS

    @property
    def expected_cost_usd(self) -> float | None:
        """The expected cost in US dollars."""
        return optional_usd(self.expected_cost_nano_usd)

    @property
    def worst_cost_usd(self) -> float | None:
        """The greatest cost in US dollars."""
        return optional_usd(self.worst_cost_nano_usd)


class Plan(Struct, frozen=True):
    """The plan of a run. `against` is the latest job of the project; None if it has no job.

    `hooks` are the statuses for which the job has a hook.
    """

    project: str
    against: str | None
    steps: tuple[PlannedStep, ...]
    max_cost_nano_usd: int | None
    hooks: tuple[str, ...] = ()

    @property
    def runs_anything_new(self) -> bool:
        """Whether a new or changed step, or a dependent of one, would run."""
        return any(
            step.does_work and step.change in ("new", "changed", "upstream") for step in self.steps
        )

    @property
    def expected_cost_nano_usd(self) -> int | None:
        """The sum over all steps; None if the cost of one is unknown."""
        costs = [step.expected_cost_nano_usd for step in self.steps]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def expected_cost_usd(self) -> float | None:
        """The expected cost in US dollars."""
        return optional_usd(self.expected_cost_nano_usd)

    @property
    def expected_duration_s(self) -> float | None:
        """The longest path through the graph; None if the time of a step is unknown."""
        ends: dict[str, float] = {}
        for step in self.steps:
            took = step.expected_duration_s
            if took is None:
                return None
            # A spec may list a step before a step that it needs. The end of the latter then counts
            # as 0, and the result is too low.
            ends[step.step] = took + max((ends.get(name, 0.0) for name in step.needs), default=0.0)
        return max(ends.values(), default=0.0)

    @property
    def worst_cost_nano_usd(self) -> int | None:
        """The sum over all steps, at most the job's budget; None if it has no upper bound."""
        costs = [step.worst_cost_nano_usd for step in self.steps]
        total = None if None in costs else sum(cost for cost in costs if cost is not None)
        if self.max_cost_nano_usd is None:
            return total
        return self.max_cost_nano_usd if total is None else min(total, self.max_cost_nano_usd)

    @property
    def worst_cost_usd(self) -> float | None:
        """The greatest cost in US dollars."""
        return optional_usd(self.worst_cost_nano_usd)


def plan_run(
    submission: Submission,
    environment: Mapping[str, str],
    places: Places,
    *,
    on_notice: Callable[[str], None] = lambda text: None,
) -> Plan:
    """The plan of a run of the spec in this ledger, which need not exist.

    `on_notice` gets which provider was chosen, if the spec names none. Raises SpecError, UsageProblem,
    LedgerError.
    """
    files = SpecFiles(spec_dir_of(submission))
    inputs = InputReader(files.folder)
    known = known_executors(submission, places.database, environment)
    submission, _, definition, chosen = prepare_here(
        submission, environment, files=files, inputs=inputs, executor_names=known
    )
    if chosen:
        on_notice(chosen)
    definition = inputs.hide(read_mask(definition, environment, steps=()), definition)
    rules = target_rules(environment, definition.servers)
    check_step_names("--until", submission.until, {step.id for step in definition.steps})
    asked = partial(
        forecast_run,
        definition,
        environment=environment,
        spec_dir=spec_dir_of(submission),
        blobs=files.contents,
        read=inputs.content,
    )
    if not places.database.exists():
        return build_plan(
            definition,
            None,
            None,
            None,
            places.prices,
            asked(None),
            rules,
            files.contents,
            submission.until,
        )
    with open_for_reading(places) as ledger:
        row = ledger.connection.execute(_BASE, (definition.project,)).fetchone()
        try:
            state = None if row is None else load_state(ledger, row[0])
        except RemovedBlob:
            # The latest job's spec was removed from the ledger: the plan compares with no job.
            row = state = None
        base = row and row[0]
        return build_plan(
            definition,
            base,
            state,
            ledger.connection,
            places.prices,
            asked(ledger),
            rules,
            files.contents,
            submission.until,
        )


def build_plan(
    definition: JobDef,
    base: str | None,
    state: JobState | None,
    connection: sqlite3.Connection | None,
    prices: PriceTable,
    forecasts: Mapping[str, StepForecast],
    rules: TargetRules,
    files: Mapping[Digest, bytes],
    until: tuple[str, ...] = (),
) -> Plan:
    """The plan of a job, compared with the job `base` in `state`, with the forecasts of its steps.

    `files` are the contents of the files that messages name. With `until`, the plan has only these
    steps and the steps that they need.
    """
    chosen = needed_steps(definition, until)
    whys = dict(_changes(definition, state))
    steps = []
    for step in definition.steps:
        if step.id not in chosen:
            continue
        does, items = forecasts[step.id]
        change, why = _with_verdict(step, does, *whys[step.id])
        if items is not None and does in OPEN_VERDICTS:
            verb = "runs" if items.runs == 1 else "run"
            why += f"; {number_text(items.runs)} of {count_text(items.total, 'item')} {verb}"
        cost, duration_s, runs = _expected(definition, step, connection)
        worst = worst_cost(definition, step, connection, prices, rules, files)
        if worst.nano_usd == 0:
            # An earlier run may have been of another provider with a model of this name.
            cost = 0
        if does not in OPEN_VERDICTS:
            cost, duration_s, worst = 0, 0.0, WorstCost(0)
        what = _what(step)
        steps.append(
            PlannedStep(
                step.id,
                what,
                step.needs,
                change,
                why,
                cost,
                duration_s,
                runs,
                worst.nano_usd,
                step.executor if step.is_remote else None,
                does,
                items,
                worst.because or None,
            )
        )
    limit = definition.budget.limits().max_cost_nano_usd if definition.budget else None
    return Plan(definition.project, base, tuple(steps), limit, tuple(definition.hooks))


def _changes(definition: JobDef, state: JobState | None) -> Iterator[tuple[str, tuple[str, str]]]:
    if state is None:
        yield from ((step.id, ("new", "new")) for step in definition.steps)
        return
    changes = find_changes(state.definition, definition)
    graph = build_graph(definition.steps)
    plan = plan_changes(state, graph, changes, definition=definition)
    waits = waits_inside(state)
    for step in definition.steps:
        why = plan.runs.get(step.id)
        if step.id in changes:
            yield step.id, ("changed", f"changed: {', '.join(changes[step.id])}")
        elif why == "new":
            yield step.id, ("new", "new")
        elif why is not None and why.startswith("after "):
            yield step.id, ("upstream", f"depends on {why.removeprefix('after ')}")
        elif why is None and step.id in plan.rescored:
            yield (
                step.id,
                ("scores", "only its scores changed; `orc resume --spec` scores it again"),
            )
        elif why is None:
            yield step.id, ("same", "unchanged; a new job runs it again")
        else:
            inside = waits.get(step.id)
            more = f": {inside.text()}" if inside is not None and inside.waiting else ""
            yield step.id, ("same", f"unchanged; in the latest job it {why}{more}")


def _with_verdict(step: StepDef, does: Verdict, change: str, why: str) -> tuple[str, str]:
    """The change and its reason, with what the run does if that is not to run the step."""
    match does:
        case "cached":
            return "cached", "cached: its result is in the ledger"
        case "skipped":
            is_false = step.condition is not None
            return change, "skipped: its condition is false" if is_false else "skipped"
        case "fails":
            return change, "fails before it does any work"
        case "asks":
            return change, f"{why}; waits for a person"
        case "unknown":
            return change, f"{why}; unknown until other steps have run"
        case _:
            return change, why


def _what(step: StepDef) -> str:
    if step.is_remote:
        return f"{_kind_of(step)} on {step.executor}"
    return _kind_of(step)


def _kind_of(step: StepDef) -> str:
    if step.shape is not None:
        is_named = step.facts.does_work or step.facts.asks_person
        return f"{step.shape} of {step.kind}" if is_named else step.shape
    is_known = step.facts.calls_model and has_target(step)
    return f"{step.provider}/{step.model}" if is_known else step.kind


def _expected(
    definition: JobDef, step: StepDef, connection: sqlite3.Connection | None
) -> tuple[int | None, float | None, int]:
    """The step's mean cost and duration in seconds, and the number of earlier runs."""
    is_free = not any(inner.facts.calls_model for inner in walk_steps((step,)))
    if connection is None:
        return (0 if is_free else None), None, 0
    name = step.id
    model = step.model if step.facts.calls_model and step.shape is None else None
    runs, duration_s, cost, unpriced = connection.execute(
        _HISTORY, (definition.project, name, model, model, model is None)
    ).fetchone()
    if not runs:
        is_quick = not step.facts.does_work and step.shape is None
        return (0 if is_free else None), (0.0 if is_quick else None), 0
    if step.shape is not None:
        names = (len(name) + 1, f"{name}[", f"{name}#", f"{name}/")
        inside = connection.execute(_INSIDE, (definition.project, *names)).fetchone()
        cost, unpriced, paid = inside
    else:
        paid = runs
    # Runs in which the ledger had every reply do not say what the calls cost.
    known = None if unpriced or not paid else -(-(cost or 0) // paid)
    return (0 if is_free else known), duration_s, runs
