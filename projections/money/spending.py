"""Sums the cost of calls to models by model, provider, day, step, job or project.

The costs come from the tables. Calls with an unknown cost are counted and not in the sums.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from orc.projections.money.unknown_costs import sql_unpriced

By = Literal["model", "provider", "day", "step", "job", "project"]

_KEYS: dict[By, str] = {
    "model": "coalesce(calls.provider, '?') || '/' || coalesce(calls.model, '?')",
    "provider": "coalesce(calls.provider, '?')",
    # Recorded times are UTC text.
    "day": "substr(calls.requested_at, 1, 10)",
    "step": "calls.step_id",
    "job": "calls.job_id",
    "project": "jobs.name",
}
_INSIDE = re.compile(r"[\[#/].*", re.DOTALL)


class SpendingGroup(Struct, frozen=True):
    """The calls of one group, and their cost in nano-dollars.

    - `calls` were sent. `cost_nano_usd` is the cost of `calls_priced` of them, and the cost of
      `calls_unpriced` is unknown. The others have none: they failed without a count of tokens.
    - `unanswered` of them have no reply yet: they are in flight, or in a batch.
    - The servers themselves reported the cost of `calls_reported` of them: `reported_nano_usd`.
    - `from_cache` were answered by recorded replies, which saved `saved_nano_usd`. The saving is
      unknown for `saved_unpriced` of them.
    - `in_doubt` were sent and their outcome is unknown: they cost at most `in_doubt_nano_usd`. The
      highest cost is unknown for `in_doubt_unpriced` of them.
    """

    key: str
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cost_nano_usd: int = 0
    calls_priced: int = 0
    calls_unpriced: int = 0
    calls_reported: int = 0
    reported_nano_usd: int = 0
    from_cache: int = 0
    saved_nano_usd: int = 0
    saved_unpriced: int = 0
    in_doubt: int = 0
    in_doubt_nano_usd: int = 0
    in_doubt_unpriced: int = 0
    unanswered: int = 0

    @property
    def calls_costed(self) -> int:
        """The calls that have a cost, known or not."""
        return self.calls_priced + self.calls_unpriced

    def plus(self, other: SpendingGroup) -> SpendingGroup:
        """The sum of both groups, under the key of this one."""
        return replace(
            self,
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cost_nano_usd=self.cost_nano_usd + other.cost_nano_usd,
            calls_priced=self.calls_priced + other.calls_priced,
            calls_unpriced=self.calls_unpriced + other.calls_unpriced,
            calls_reported=self.calls_reported + other.calls_reported,
            reported_nano_usd=self.reported_nano_usd + other.reported_nano_usd,
            from_cache=self.from_cache + other.from_cache,
            saved_nano_usd=self.saved_nano_usd + other.saved_nano_usd,
            saved_unpriced=self.saved_unpriced + other.saved_unpriced,
            in_doubt=self.in_doubt + other.in_doubt,
            in_doubt_nano_usd=self.in_doubt_nano_usd + other.in_doubt_nano_usd,
            in_doubt_unpriced=self.in_doubt_unpriced + other.in_doubt_unpriced,
            unanswered=self.unanswered + other.unanswered,
        )


def read_spending(
    connection: sqlite3.Connection,
    *,
    by: By,
    job_id: str | None = None,
    since: str | None = None,
    tag: str | None = None,
) -> list[SpendingGroup]:
    """The groups, the most expensive first.

    `job_id` selects one job, `since` (UTC text) the calls from that time on, `tag`
    those of jobs with it. Calls of items, rounds
    and members count for their outer step. Without `job_id`, the key of a step is `project/step`.
    """
    rows = connection.execute(
        f"SELECT {_KEYS[by]}, jobs.name, count(*) FILTER (WHERE calls.status <> 'from ledger'), "
        "coalesce(sum(calls.input_tokens), 0), coalesce(sum(calls.output_tokens), 0), "
        "coalesce(sum(calls.cached_tokens), 0), coalesce(sum(calls.cache_write_tokens), 0), "
        "coalesce(sum(calls.cost_nano_usd), 0), count(calls.cost_nano_usd), "
        f"count(*) FILTER (WHERE {sql_unpriced('calls')}), "
        "count(calls.reported_nano_usd), coalesce(sum(calls.reported_nano_usd), 0), "
        "count(*) FILTER (WHERE calls.status = 'from ledger'), coalesce(sum(calls.saved_nano_usd), 0), "
        "count(*) FILTER (WHERE calls.status = 'from ledger' AND calls.saved_nano_usd IS NULL), "
        "coalesce(sum(calls.in_doubt), 0), "
        "coalesce(sum(calls.worst_case_nano_usd) FILTER (WHERE calls.in_doubt), 0), "
        "count(*) FILTER (WHERE calls.in_doubt AND calls.worst_case_nano_usd IS NULL), "
        "count(*) FILTER (WHERE calls.status = 'sent' AND NOT coalesce(calls.in_doubt, 0)) "
        "FROM llm_calls AS calls JOIN jobs USING (job_id) "
        # Left out: replies that a later attempt of the same step reused, which saved nothing.
        "WHERE (calls.status <> 'from ledger' OR calls.provider IS NOT NULL) "
        "AND (?1 IS NULL OR calls.job_id = ?1) AND (?2 IS NULL OR calls.requested_at >= ?2) "
        "AND (?3 IS NULL OR EXISTS (SELECT 1 FROM tags WHERE tag_id = calls.job_id || '/' || ?3)) "
        "GROUP BY 1, 2",
        (job_id, since, tag),
    )
    found: dict[str, SpendingGroup] = {}
    for key, project, *numbers in rows:
        if by == "step":
            step = _INSIDE.sub("", key.partition("/")[2])
            key = step if job_id is not None else f"{project}/{step}"
        found[key] = found.get(key, SpendingGroup(key)).plus(SpendingGroup(key, *numbers))
    return sorted(
        found.values(),
        key=lambda one: (-one.cost_nano_usd, -one.calls_unpriced, -one.output_tokens, one.key),
    )
