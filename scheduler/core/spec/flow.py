"""Models of the spec's control flow: conditions, loops, approvals and budgets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orc.scheduler.core.spec.base import TEMPLATES, Duration, Filled, Strict, shorthand


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

    message: Annotated[Filled, TEMPLATES] = Field(description="The question to the person.")
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
