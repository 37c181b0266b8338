"""The next commands for a job that has stopped: each does what it is printed for, as it is printed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from decimal import ROUND_UP, Decimal
from pathlib import Path

from orc.cli.jobs.caller.set_up_providers import other_providers
from orc.cli.jobs.owned_job import Ended
from orc.cli.terminal.text import safe
from orc.ledger import LedgerReader
from orc.ledger.command_lines import command_line, decision_commands
from orc.ledger.definition import walk_steps
from orc.ledger.events import BudgetExceeded
from orc.ledger.files.project_places import spec_folder
from orc.ledger.money import NANO_PER_USD
from orc.ledger.transport.imported import imported
from orc.scheduler.core.fold.budgets import JOB, accounts_of
from orc.scheduler.core.fold.evolve import JobState

_CENT = Decimal("0.01")
_LEFT_S_MIN = 0.1
_UNUSABLE = ("connection", "auth", "environment")
_UNITS = {"max_tokens": "tokens", "max_calls": "calls"}


def next_commands(ended: Ended) -> list[str]:
    """The commands for the job: those of which a person gives one, or the one that continues it."""
    for step_id in sorted(ended.state.questions):
        return answers_of(ended, step_id)
    return [continue_command(ended)]


def answers_of(ended: Ended, step_id: str) -> list[str]:
    """The command for each option of a step that waits for human review."""
    question = ended.state.steps[step_id].question
    if question is None:
        return []
    then = continue_command(ended)
    return decision_commands(ended.job_id, step_id, question.options, then=then)


def continue_command(ended: Ended) -> str:
    """The command that continues the job; in the queue, a worker does unless a budget must be raised.

    A limit that has stopped the job is raised by the worst case of the prompts that are left. When the
    job's time is over, it gets as much again.
    """
    with LedgerReader.open(ended.database) as ledger:
        return command_to_continue(ledger, ended.job_id, ended.state)


def command_to_continue(ledger: LedgerReader, job_id: str, state: JobState) -> str:
    """As `continue_command`, for any job that has no owner."""
    if state.is_queued and not state.over_budget:
        return command_line("work")
    words: list[str] = ["resume", job_id]
    note = imported(ledger.connection, job_id)
    if note is not None and not note["trusted"]:
        words.append("--trust")
    for amount in _raises(ledger, job_id, state):
        words += ["--budget", amount]
    if state.timeout_s is not None and state.timeout_s - state.owned_s < _LEFT_S_MIN:
        words += ["--timeout", str(math.ceil(state.owned_s + state.timeout_s))]
    return command_line(*words)


def lines_on_providers(ended: Ended, environment: Mapping[str, str]) -> list[str]:
    """What else is set up, if the job failed since its providers cannot be reached or used here.

    Each line has the command that runs the spec with it, and with the job's inputs: the first other
    provider, and the recorded replies beside the spec.
    """
    definition = ended.state.definition
    steps = [step for step in walk_steps(definition.steps) if step.facts.calls_model]
    if not steps or not any(failure.kind in _UNUSABLE for failure in ended.failures):
        return []
    spec = _spec_file(ended)
    if spec is None:
        return []
    found = list(other_providers(definition, spec, environment))
    if not found:
        return []
    # Imported here: it loads what reads specs, which a resume does not need.
    from orc.cli.jobs.caller.inputs import given_inputs

    inputs = given_inputs(definition, spec)
    return [
        f"{safe(said)}: {command_line('run', spec, '--provider', name, *inputs)}"
        for name, said in found
    ]


def _spec_file(ended: Ended) -> Path | None:
    """The file of the job's spec, as it is named from here; None if it is not there any more."""
    submitted = ended.state.submitted
    if submitted is None:
        return None
    path = spec_folder(submitted, ended.database) / Path(submitted.source_name).name
    if not path.is_file():
        return None
    with suppress(ValueError, OSError):
        return path.relative_to(Path.cwd())
    return path


def _raises(ledger: LedgerReader, job_id: str, state: JobState) -> list[str]:
    """The values of `--budget` with which the waiting calls fit: `+0.05`, `write=+2calls`."""
    found: dict[tuple[str, str], str] = {}
    for step_id in state.over_budget:
        row = ledger.connection.execute(
            "SELECT max(version) FROM events WHERE job_id = ? AND type = 'budget.exceeded' AND "
            "step = ?",
            (job_id, step_id),
        ).fetchone()
        event = ledger.read_event(job_id, row[0]).event
        assert isinstance(event, BudgetExceeded)
        left = _prompts_left(state, event.account or JOB)
        needed = Decimal(event.needed) * left
        missing = Decimal(event.spent) + needed - Decimal(event.maximum)
        if event.limit == "max_cost_usd":
            missing /= NANO_PER_USD
        found[event.account or JOB, event.limit] = _amount(event.limit, missing)
        for account, budget in accounts_of(state, step_id):
            # Behind the limit that was reported, the number of calls may be used up, too.
            if budget.max_calls is not None:
                spent = state.spent[account].calls if account in state.spent else 0
                missing = Decimal(spent + _prompts_left(state, account) - budget.max_calls)
                if missing > 0:
                    found[account, "max_calls"] = _amount("max_calls", missing)
    return [f"{account}={amount}" if account else amount for (account, _), amount in found.items()]


def _prompts_left(state: JobState, account: str) -> int:
    """How many prompts that have not ended count on the account."""
    return sum(
        1
        for name, step in state.steps.items()
        if not step.is_done
        and state.graph.steps[name].facts.calls_model
        and state.graph.steps[name].shape is None
        and any(account == counted for counted, _ in accounts_of(state, name))
    )


def _amount(limit: str, missing: Decimal) -> str:
    if limit in _UNITS:
        return f"+{max(1, math.ceil(missing))}{_UNITS[limit]}"
    return f"+{max(_CENT, missing.quantize(_CENT, ROUND_UP))}"
