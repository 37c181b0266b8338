"""The queries that Datasette offers on a ledger, by the name in their address.

Each answers well within Datasette's limit of a second on 100,000 steps.
"""

from __future__ import annotations

_JOB = """(
    select case when :job_id in ('', 'latest')
        then (select job_id from jobs order by submitted_at desc limit 1)
        else :job_id end
)"""

_COSTS = """sum(llm_calls.cost_usd) as cost_usd,
    sum(llm_calls.input_tokens is not null and llm_calls.cost_usd is null) as calls_unpriced"""
"""The known part of what some calls cost, and how many calls that leaves out."""

QUERIES: dict[str, dict[str, str | bool]] = {
    "events_of_a_job": {
        "title": "Events of a job",
        "description": "Everything that happened in a job, in order. Without an id: the latest job.",
        "sql": f"""
select version as seq, recorded_at, type, job_id || '/' || step as step_id, attempt, data
from events
where job_id = {_JOB}
order by version
""",
    },
    "prompts_and_replies": {
        "title": "Prompts and replies of a job",
        "description": "What each model was asked and what it answered, as text. Without an id: "
        "the latest job; with a step: only that step's.",
        "sql": f"""
with calls as (
    select version, job_id, step, attempt, type, data,
        coalesce(json_extract(data, '$.request.sha256'), json_extract(data, '$.reply.sha256'))
            as sha256
    from events
    where job_id = {_JOB}
        and type in ('llm.requested', 'llm.responded', 'llm.failed')
        and (:step = '' or step = :step)
),
documents as (
    select *, coalesce(
        json_extract(data, '$.request.value'),
        json_extract(data, '$.reply.value'),
        (select content from blobs where blobs.sha256 = calls.sha256)
    ) as document
    from calls
)
select version as seq, job_id || '/' || step as step_id, attempt,
    json_extract(data, '$.call') as call,
    case type when 'llm.requested' then 'prompt' when 'llm.responded' then 'reply'
        else 'failed' end as what,
    json_extract(data, '$.model') as model,
    case type
        when 'llm.failed'
        then json_extract(data, '$.kind') || ': ' || json_extract(data, '$.message')
        when 'llm.responded' then json_extract(document, '$.text')
        else coalesce('[system]\n' || json_extract(document, '$.system') || '\n', '') || (
            select group_concat(
                '[' || json_extract(value, '$.role') || ']\n' || json_extract(value, '$.content'),
                '\n')
            from json_each(document, '$.messages'))
    end as text,
    sha256
from documents
order by version
""",
    },
    "failures": {
        "title": "Failures",
        "description": "Attempts that failed, latest first, with why.",
        "sql": """
select finished_at, job_id, step_id, attempt_id, failure_kind, exit_code, failure, log, log_sha256
from attempts
where failure_kind is not null
order by finished_at desc
limit 200
""",
    },
    "cost_and_tokens_by_model": {
        "title": "Cost and tokens by model",
        "description": "Over all jobs. calls_unpriced have an unknown price, and are in no sum of "
        "costs; saved_usd is what replies from the cache would have cost.",
        "sql": f"""
select provider, model, sum(status <> 'from ledger') as calls, sum(status = 'failed') as failed,
    sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
    sum(cached_tokens) as cached_tokens, {_COSTS},
    sum(saved_usd) as saved_usd, max(price_date) as price_date,
    round(avg(duration_s), 2) as average_s, round(max(duration_s), 2) as longest_s
from llm_calls
where provider is not null
group by provider, model
order by cost_usd desc, input_tokens + output_tokens desc
""",
    },
    "cost_by_project_and_model": {
        "title": "Cost by project and model",
        "description": "Over all jobs of each project; calls_unpriced have an unknown price, and are "
        "in no sum of costs.",
        "sql": f"""
select jobs.name as project, llm_calls.provider, llm_calls.model,
    count(distinct llm_calls.job_id) as jobs, sum(llm_calls.status <> 'from ledger') as calls,
    sum(llm_calls.input_tokens) as input_tokens, sum(llm_calls.output_tokens) as output_tokens,
    {_COSTS}, sum(saved_usd) as saved_usd
from llm_calls join jobs using (job_id)
where llm_calls.provider is not null
group by jobs.name, llm_calls.provider, llm_calls.model
order by cost_usd desc, project, llm_calls.provider, llm_calls.model
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
}


def ledger_queries() -> dict[str, dict[str, str | bool]]:
    """Datasette's canned queries for one ledger; new values, for Datasette changes them."""
    return {
        name: {**query, "sql": str(query["sql"]).strip(), "hide_sql": True}
        for name, query in QUERIES.items()
    }
