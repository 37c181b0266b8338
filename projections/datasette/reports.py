"""Queries over all jobs of a ledger: costs, failures, durations, savings, and calls in doubt."""

from __future__ import annotations

from orc.ledger.wording import count_text
from orc.projections.money.unknown_costs import sql_unpriced

_COSTS = f"""sum(llm_calls.cost_nano_usd) / 1e9 as cost_usd,
    sum{sql_unpriced("llm_calls").lower()} as calls_unpriced"""
"""The sum of the known costs of calls, and the number of calls with an unknown cost."""

_SAVED = "sum(saved_nano_usd) / 1e9 as saved_usd"

_STEP = """substr(steps.name, 1,
        min(instr(steps.name || '[', '['), instr(steps.name || '#', '#')) - 1)"""
"""The step of the spec: its items and rounds, and their inner steps, count to it."""

_STEPS_MAX = 100_000
"""The most steps in the medians: to sort more takes longer than Datasette's limit for a query."""

REPORTS: dict[str, dict[str, str | bool]] = {
    "cost_and_tokens_by_model": {
        "title": "Cost and tokens by model",
        "description": "Over all jobs. calls_unpriced counts calls whose price is unknown; no sum of "
        "costs contains them. saved_usd is what replies from the cache would have cost.",
        "sql": f"""
select provider, model, sum(status <> 'from ledger') as calls, sum(status = 'failed') as failed,
    sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
    sum(cached_tokens) as cached_tokens, sum(cache_write_tokens) as cache_write_tokens,
    {_COSTS},
    {_SAVED}, max(price_date) as price_date,
    round(avg(duration_s), 2) as average_s, round(max(duration_s), 2) as longest_s
from llm_calls
where provider is not null
group by provider, model
order by cost_usd desc, sum(input_tokens + output_tokens) desc
""",
    },
    "cost_by_day": {
        "title": "Cost by day",
        "description": "The calls that were sent on each day (UTC), latest first. calls_unpriced "
        "counts calls whose price is unknown; no sum of costs contains them.",
        "sql": f"""
select substr(requested_at, 1, 10) as day, count(distinct job_id) as jobs,
    sum(status <> 'from ledger') as calls, sum(status = 'failed') as failed,
    sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
    {_COSTS}, {_SAVED}
from llm_calls
where requested_at is not null
group by day
order by day desc
""",
    },
    "cost_by_step": {
        "title": "Cost by step",
        "description": "Over all jobs of each project, most expensive first. The items and rounds "
        "of a step count to the step.",
        "sql": f"""
select jobs.name as project, {_STEP} as step,
    count(distinct steps.job_id) as jobs, sum(steps.calls) as calls,
    sum(steps.input_tokens) as input_tokens, sum(steps.output_tokens) as output_tokens,
    sum(steps.cost_nano_usd) / 1e9 as cost_usd, sum(steps.calls_unpriced) as calls_unpriced
from steps join jobs using (job_id)
where steps.calls > 0
group by project, step
order by cost_usd desc, sum(steps.input_tokens + steps.output_tokens) desc
limit 500
""",
    },
    "cost_by_project_and_model": {
        "title": "Cost by project and model",
        "description": "Over all jobs of each project. calls_unpriced counts calls whose price is "
        "unknown; no sum of costs contains them.",
        "sql": f"""
select jobs.name as project, llm_calls.provider, llm_calls.model,
    count(distinct llm_calls.job_id) as jobs, sum(llm_calls.status <> 'from ledger') as calls,
    sum(llm_calls.input_tokens) as input_tokens, sum(llm_calls.output_tokens) as output_tokens,
    {_COSTS}, {_SAVED}
from llm_calls join jobs using (job_id)
where llm_calls.provider is not null
group by jobs.name, llm_calls.provider, llm_calls.model
order by cost_usd desc, project, llm_calls.provider, llm_calls.model
""",
    },
    "failure_rate_by_step": {
        "title": "Failure rate by step",
        "description": "The attempts of each step over all jobs of its project, highest failure rate "
        "first. The items and rounds of a step count to the step.",
        "sql": f"""
select jobs.name as project, {_STEP} as step,
    count(distinct steps.job_id) as jobs, count(*) as attempts,
    sum(attempts.status = 'failed') as failed,
    round(100.0 * sum(attempts.status = 'failed') / count(*), 1) as failed_percent,
    max(case when attempts.status = 'failed' then attempts.finished_at end) as failed_last
from attempts join steps using (step_id) join jobs on jobs.job_id = steps.job_id
group by project, step
having failed > 0
order by failed_percent desc, failed desc
limit 500
""",
    },
    "failure_rate_by_model": {
        "title": "Failure rate by model",
        "description": "The calls that were sent to each model, highest failure rate first. rejected "
        "counts replies that the step rejected.",
        "sql": """
select provider, model, count(*) as calls, sum(status = 'failed') as failed,
    round(100.0 * sum(status = 'failed') / count(*), 1) as failed_percent,
    sum(coalesce(rejected, 0)) as rejected, sum(coalesce(in_doubt, 0)) as in_doubt,
    max(case when status = 'failed' then requested_at end) as failed_last
from llm_calls
where provider is not null and status <> 'from ledger'
group by provider, model
order by failed_percent desc, calls desc
""",
    },
    "failures_by_kind": {
        "title": "Failures by kind",
        "description": "Failed attempts and failed calls to models, and the number of jobs with them.",
        "sql": """
select failure_kind, sum(of = 'attempt') as attempts, sum(of = 'call') as calls,
    count(distinct job_id) as jobs, max(at) as failed_last
from (
    select 'attempt' as of, failure_kind, job_id, finished_at as at from attempts
    union all
    select 'call', failure_kind, job_id, requested_at from llm_calls
)
where failure_kind is not null
group by failure_kind
order by attempts + calls desc
""",
    },
    "slowest_steps": {
        "title": "Slowest steps",
        "description": "The 100 steps whose last attempt took longest.",
        "sql": """
select duration_s, job_id, step_id, kind, status, attempts, provider, model, started_at
from steps
where duration_s is not null
order by duration_s desc
limit 100
""",
    },
    "durations_by_step": {
        "title": "Durations by step",
        "description": f"The last {count_text(_STEPS_MAX, 'step')}, slowest first: the median, the 95th "
        "percentile, the longest and the total, in seconds. The items and rounds of a step count "
        "to the step.",
        "sql": f"""
with timed as (
    select jobs.name as project, {_STEP} as step, steps.duration_s
    from steps join jobs using (job_id)
    where steps.duration_s is not null
        and steps.rowid > (select max(rowid) - {_STEPS_MAX} from steps)
),
ranked as (
    select *, row_number() over steps_of as place, count(*) over (partition by project, step) as n
    from timed
    window steps_of as (partition by project, step order by duration_s)
)
select project, step, n as times,
    max(case when place = (n + 1) / 2 then duration_s end) as median_s,
    max(case when place = (n * 95 + 99) / 100 then duration_s end) as p95_s,
    max(duration_s) as longest_s, round(sum(duration_s), 3) as total_s
from ranked
group by project, step
order by p95_s desc
limit 500
""",
    },
    "cache_savings": {
        "title": "Savings of caches and forks",
        "description": "Recorded replies that answered calls, and results of steps that were used "
        "again. saved_usd and saved_s are what they cost when they were made, if that is known and "
        "in this ledger.",
        "sql": f"""
select 'reply' as what, provider || '/' || model as of, count(*) as times,
    count(distinct job_id) as jobs, {_SAVED}, null as saved_s
from llm_calls
where status = 'from ledger'
group by provider, model
union all
select 'result', 'by ' || steps.reused, count(*), count(distinct steps.job_id),
    sum(made.cost_nano_usd) / 1e9, round(sum(made.duration_s), 3)
from steps left join steps as made on made.step_id = steps.reused_from
where steps.reused is not null
group by steps.reused
order by saved_usd desc, times desc
""",
    },
    "calls_in_doubt": {
        "title": "Calls in doubt",
        "description": "Calls that were sent, and whose outcome is unknown: they may have been answered "
        "and charged. worst_case_usd is the most that each may have cost, if that is known.",
        "sql": """
select requested_at, job_id, step_id, call_id, provider, model, status, worst_case_tokens,
    worst_case_usd, failure
from llm_calls
where in_doubt = 1
order by llm_calls.rowid desc
limit 500
""",
    },
}
