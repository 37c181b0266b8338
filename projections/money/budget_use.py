"""What a job's own budget allows and how much of it is used, as the scheduler counts it.

Calls with an unknown use count with their worst case.
"""

from __future__ import annotations

from msgspec.structs import replace

from orc.ledger.events import BudgetRaised
from orc.ledger.reader import LedgerReader
from orc.ledger.values import Limits

_RAISED = (
    "SELECT version FROM events WHERE job_id = ? AND version <= ? AND type = 'budget.raised' "
    "ORDER BY version"
)
_TOKENS = "coalesce(input_tokens + output_tokens, 0)"
_COST = "coalesce(cost_nano_usd, 0)"
_TOKENS_MAX = f"max(coalesce(worst_case_tokens, 0), {_TOKENS})"
_COST_MAX = f"max(coalesce(worst_case_nano_usd, 0), {_COST})"
_IS_UNCOUNTED = "in_doubt = 1 OR (status = 'answered' AND input_tokens IS NULL)"
_IS_UNPRICED = "in_doubt = 1 OR (status = 'answered' AND cost_nano_usd IS NULL)"
_USED = (
    f"SELECT count(*), coalesce(sum(iif({_IS_UNCOUNTED}, {_TOKENS_MAX}, {_TOKENS})), 0), "
    f"coalesce(sum(iif({_IS_UNPRICED}, {_COST_MAX}, {_COST})), 0) "
    "FROM llm_calls WHERE job_id = ? AND status <> 'from ledger'"
)


def budget_use(
    reader: LedgerReader, job_id: str, limits: Limits, *, version: int
) -> list[tuple[str, int, int]]:
    """Each limit at the job's event `version`: its name, the used amount, the limit.

    `limits` are those of the spec, and money is nano-dollars. The tables are those of `reader`.
    """
    for (raised,) in reader.connection.execute(_RAISED, (job_id, version)).fetchall():
        event = reader.read_event(job_id, raised).event
        if isinstance(event, BudgetRaised) and event.account is None:
            limits = replace(
                limits,
                max_calls=event.max_calls or limits.max_calls,
                max_tokens=event.max_tokens or limits.max_tokens,
                max_cost_nano_usd=event.max_cost_nano_usd or limits.max_cost_nano_usd,
            )
    calls, tokens, nano_usd = reader.connection.execute(_USED, (job_id,)).fetchone()
    used = {"max_cost_usd": nano_usd, "max_tokens": tokens, "max_calls": calls}
    return [(limit, used[limit], most) for limit, most in limits.given()]
