"""The queries that Datasette offers on a ledger, by the name in their address.

With 100,000 steps each takes much less than a second, which is Datasette's limit.
"""

from __future__ import annotations

from orc.projections.datasette.reports import REPORTS

_JOB = """(
    select case when :job_id in ('', 'latest')
        then (select job_id from jobs order by position desc limit 1)
        else :job_id end
)"""

QUERIES: dict[str, dict[str, str | bool]] = {
    "events_of_a_job": {
        "title": "Events of a job",
        "description": "All events of a job, in order. Without job_id: of the latest job.",
        "sql": f"""
select version as seq, recorded_at, type, job_id || '/' || step as step_id, attempt, data
from events
where job_id = {_JOB}
order by version
""",
    },
    "prompts_and_replies": {
        "title": "Prompts and replies of a job",
        "description": "The text of each request to a model and of its reply. Without job_id: of "
        "the latest job; with step: only of that step.",
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
        "description": "The 200 failed attempts that started last, with the failure.",
        "sql": """
select finished_at, job_id, step_id, attempt_id, failure_kind, exit_code, failure, log, log_sha256
from attempts
where failure_kind is not null
order by attempts.rowid desc
limit 200
""",
    },
    **REPORTS,
}


def ledger_queries() -> dict[str, dict[str, str | bool]]:
    """Datasette's canned queries for one ledger. Datasette changes the value, so each call makes one."""
    return {
        name: {**query, "sql": str(query["sql"]).strip(), "hide_sql": True}
        for name, query in QUERIES.items()
    }
