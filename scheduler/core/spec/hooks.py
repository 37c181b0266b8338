"""Models of the spec's hooks: commands that run when a run of the job ends or stops for a person."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from orc.ledger.definition import HOOK_TIMEOUT_S
from orc.scheduler.core.spec.base import Duration, Strict, Variables, Word


class HookSpec(Strict):
    """A command that runs once after the job has ended or waits. Short form: the command."""

    run: Word | list[Word] = Field(
        description="The command: a text for /bin/sh -ec, or a list of arguments without a shell. It "
        "reads the facts about the job as JSON from stdin."
    )
    env: Variables = Field(
        {},
        description="Environment variables of the command, in addition to the job's; null passes the "
        "caller's value on.",
    )
    secrets: list[str] = Field(
        [],
        description="Environment variables of the caller that the command gets as secrets, in "
        "addition to the job's.",
    )
    timeout: Duration = Field(
        HOOK_TIMEOUT_S, description="The time limit of the command; then it is ended."
    )


def _as_run(value: Any) -> Any:
    return value if isinstance(value, dict) or value is None else {"run": value}


Hook = Annotated[
    HookSpec,
    BeforeValidator(_as_run, json_schema_input_type=Word | list[Word] | HookSpec),
]


class HooksSpec(Strict):
    """Commands that tell others how the job ended. They never change its result."""

    succeeded: Hook | None = Field(None, description="Runs when the job has succeeded.")
    failed: Hook | None = Field(None, description="Runs when the job has failed.")
    cancelled: Hook | None = Field(None, description="Runs when the job was cancelled.")
    waiting: Hook | None = Field(
        None,
        description="Runs when the job has stopped because it needs a person: for a decision, a "
        "budget, or a step that is in doubt.",
    )
