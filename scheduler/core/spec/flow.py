"""Models of the spec's control flow: conditions, loops, approvals, retries, budgets, scores and tags."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orc.ledger.definition import Backoff
from orc.scheduler.core.spec.base import Duration, Filled, Strict, shorthand


def _as_condition(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


Condition = Annotated[str, BeforeValidator(_as_condition, json_schema_input_type=str | bool)]
"""One expression; the braces are optional."""


class LoopSpec(Strict):
    """Repeats the step or group in rounds; a round can use the result of the round before it."""

    until: Condition | None = Field(
        None, description="An expression, evaluated after each round. If it is true, the loop ends."
    )
    max_iterations: int = Field(ge=1, le=10_000, description="The maximum number of rounds.")
    on_exhausted: Literal["continue", "fail"] = Field(
        "continue",
        description="If `until` is still false after the last round: continue with the result of "
        "the last round, or fail the step.",
    )


class ApprovalSpec(Strict):
    """Asks a person for a decision. Short form: the message."""

    message: Filled = Field(description="The question to the person.")
    options: list[str] = Field(
        ["approve", "reject"],
        min_length=1,
        description="The possible decisions. `reject` fails the step (kind `rejected`).",
    )
    timeout: Duration | None = Field(
        None, description="The maximum wait for a decision. Default: no limit."
    )
    on_timeout: str = Field("reject", description="The option that is chosen after the timeout.")


Approval = Annotated[
    ApprovalSpec,
    BeforeValidator(shorthand("message", str), json_schema_input_type=str | ApprovalSpec),
]


ATTEMPTS_MAX = 1000


class RetrySpec(Strict):
    """How often a failed step is retried, and the waits before the retries."""

    max_attempts: int = Field(
        3, ge=1, le=ATTEMPTS_MAX, description="The maximum number of attempts, including the first."
    )
    backoff: Backoff = Field(
        "exponential", description="How the wait grows from one retry to the next."
    )
    initial: Duration = Field(1.0, description="The wait before the first retry.")
    max: Duration = Field(
        60.0, description="The maximum wait. Without it, a longer first wait is the maximum."
    )
    jitter: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The random part of each wait: 0 for none, 1 for the whole wait. Default: 0.1.",
    )


Retry = Annotated[
    RetrySpec,
    BeforeValidator(shorthand("max_attempts", int), json_schema_input_type=int | RetrySpec),
]


class BudgetSpec(Strict):
    """Limits for model calls. The worst case of a call is reserved before it is sent."""

    max_cost_usd: float | None = Field(None, ge=0, description="The maximum cost, in US dollars.")
    max_tokens: int | None = Field(
        None, ge=0, description="The maximum number of tokens, input and output together."
    )
    max_calls: int | None = Field(None, ge=0, description="The maximum number of model calls.")
    on_exceeded: Literal["pause", "fail"] = Field(
        "pause",
        description="If a call does not fit: `pause` waits until the budget is raised, `fail` fails "
        "the step.",
    )


class ScoreSpec(Strict):
    """A score of a result. Short form: the expression."""

    value: Filled = Field(
        description="One expression in ${{ }}, which gives a number, or a boolean for passed."
    )
    why: Filled | None = Field(None, description="A text that explains the value.")
    of: Filled | None = Field(
        None,
        description="The id of the step that the score is about, if it is another one. This step is "
        "then a judge of its result.",
    )


Score = Annotated[
    ScoreSpec,
    BeforeValidator(shorthand("value", str), json_schema_input_type=str | ScoreSpec),
]

TAG_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.:/=@-]*$"
TAG_CHARS_MAX = 64
Tag = Annotated[str, Field(pattern=TAG_PATTERN, max_length=TAG_CHARS_MAX)]
"""A word for a job, such as `baseline` or `model:large`."""
