"""What a spec says of the way through its graph: fan-outs, loops and decisions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orc.scheduler.core.spec.base import Duration, Strict, shorthand


def _as_condition(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


Condition = Annotated[str, BeforeValidator(_as_condition, json_schema_input_type=str | bool)]
"""One expression; its braces are optional."""


class LoopSpec(Strict):
    """The step, or the group, again and again: each round can see the one before it."""

    until: Condition | None = Field(
        None, description="An expression that is judged after each round; true ends the loop."
    )
    max_iterations: int = Field(ge=1, le=10_000, description="The most rounds.")
    on_exhausted: Literal["continue", "fail"] = Field(
        "continue",
        description="When `until` never held: go on with the last round's result, or fail.",
    )


class ApprovalSpec(Strict):
    """A person decides; in short the message alone."""

    message: str = Field(description="What the person is asked.")
    options: list[str] = Field(
        ["approve", "reject"],
        min_length=1,
        description="What can be chosen. `reject` fails the step (kind rejected).",
    )
    timeout: Duration | None = Field(None, description="How long an answer is waited for.")
    on_timeout: str = Field("reject", description="The option that is chosen then.")


Approval = Annotated[
    ApprovalSpec,
    BeforeValidator(shorthand("message", str), json_schema_input_type=str | ApprovalSpec),
]


class BudgetSpec(Strict):
    """What may be spent; the worst case of a call is reserved before it is sent."""

    max_cost_usd: float | None = Field(None, ge=0, description="US dollars.")
    max_tokens: int | None = Field(None, ge=0, description="Tokens, in and out.")
    max_calls: int | None = Field(None, ge=0, description="Calls to models.")
    on_exceeded: Literal["pause", "fail"] = Field(
        "pause", description="A call that does not fit waits for more, or fails its step."
    )
