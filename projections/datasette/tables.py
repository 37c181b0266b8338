"""What Datasette says of a ledger's tables: titles, descriptions, orders, facets, labels."""

from __future__ import annotations

from typing import Any

_HIDDEN = ("orc_meta", "sqlite_sequence")

TABLES: dict[str, dict[str, Any]] = {
    "jobs": {
        "title": "Jobs",
        "description": "One row for each submitted spec, newest first. A job that has not ended and "
        "that no live process runs is shown as interrupted: orc resume goes on with it.",
        "sort_desc": "submitted_at",
        "label_column": "name",
        "facets": ["status", "provider", "model", {"date": "submitted_at"}],
        "columns": {
            "name": "The project of the spec.",
            "status": "running, waiting, succeeded, failed, cancelled; interrupted is worked out here.",
            "duration_s": "From the first start to the end, in seconds.",
            "cost_usd": "Of the calls whose price is known: the whole cost where calls_unpriced is 0.",
            "calls_unpriced": "Calls of unknown price, which are not in cost_usd.",
            "calls_in_doubt": "Calls that may have been answered, and paid for, unheard.",
            "in_doubt_usd": "The most that these may have cost, where known: not in cost_usd.",
            "in_doubt_unpriced": "Calls in doubt of which nobody knows the most.",
            "failure": "The first failure that the job ended with.",
            "owner": "The process that ran the job last.",
            "forked_from": "The job whose results it began with.",
        },
    },
    "steps": {
        "title": "Steps",
        "description": "One row for each node of a job's graph, latest started first.",
        "sort_desc": "started_at",
        "label_column": "name",
        "facets": ["status", "kind", "provider", "model", "failure_kind"],
        "columns": {
            "position": "The step's place in the spec, from 0.",
            "needs": "The steps that it waits for.",
            "attempts": "How often it was tried.",
            "cost_usd": "Of the calls whose price is known: the whole cost where calls_unpriced is 0.",
            "calls_unpriced": "Calls of unknown price, which are not in cost_usd.",
            "calls_in_doubt": "Calls that may have been answered, and paid for, unheard.",
            "in_doubt_usd": "The most that these may have cost, where known: not in cost_usd.",
            "in_doubt_unpriced": "Calls in doubt of which nobody knows the most.",
            "output": "The first of its result, where the result is small.",
            "output_sha256": "The blob with its result, where the result is large.",
            "status": "Of its last attempt; removed: an amendment of the job took the step out.",
            "reused": "Why it has a result from elsewhere: fork, cache.",
            "reused_from": "The job and the step that made the result.",
            "tolerated": "1 when the step failed and the job went on (continue_on_error).",
        },
    },
    "attempts": {
        "title": "Attempts",
        "description": "One row for each try of a step, latest first.",
        "sort_desc": "started_at",
        "label_column": "name",
        "facets": ["status", "failure_kind"],
        "columns": {
            "status": "running, succeeded, failed, interrupted; 'in doubt' when it was cut short with "
            "something under way.",
            "retry_delay_s": "The wait before the next try, in seconds.",
            "log": "The first of what the command printed, where that is little.",
            "log_sha256": "The blob with what the command printed, where that is much.",
            "cache_key": "The digest of all that the result depends on, where a cache was asked for.",
            "result_version": "The event that has the result.",
        },
    },
    "llm_calls": {
        "title": "Calls to models",
        "description": "One row for each request to a model, latest first. The query 'Prompts and "
        "replies' shows their text.",
        "sort_desc": "requested_at",
        "label_column": "name",
        "facets": [
            "status",
            "in_doubt",
            "provider",
            "model",
            "finish_reason",
            "failure_kind",
            {"date": "requested_at"},
        ],
        "columns": {
            "status": "sent, answered, failed; 'in doubt' when it was cut short, 'from ledger' when "
            "a kept reply was used again.",
            "cost_usd": "From the tokens and the table of prices that was in effect.",
            "worst_case_tokens": "The most tokens, in and out; none without max_tokens.",
            "worst_case_usd": "The most that it can cost, by the prices of its day.",
            "in_doubt": "1 when it may have been answered, and paid for, unheard.",
            "price_date": "The day on which that price was seen.",
            "saved_usd": "What a reply from the cache would have cost.",
            "request_sha256": "The digest of all that was asked.",
            "request_blob": "The blob with the request, where it is large.",
            "reply_blob": "The blob with the reply, where it is large.",
            "identity": "What tells the model from a later one of the same name.",
            "rejected": "1 when the reply was of no use, so that it is not used again.",
            "dropped": "Parameters that the provider cannot honour.",
            "changed": "The parts of the request that kept the cache from answering.",
            "paid_by_job": "The job whose call the cache answered from.",
            "paid_by_step": "The step whose call the cache answered from.",
        },
    },
    "tool_calls": {
        "title": "Calls of tools",
        "description": "One row for each tool that a model called, latest first.",
        "sort_desc": "called_at",
        "label_column": "name",
        "facets": ["tool", "status"],
        "columns": {
            "call_id": "The call to the model that asked for it.",
            "status": "called, returned, error; 'in doubt' when it was cut short.",
            "arguments": "The first of what the tool was given, where that is little.",
            "result": "The first of what the model was told, where that is little.",
            "arguments_blob": "The blob with what the tool was given, where that is much.",
            "result_blob": "The blob with what the model was told, where that is much.",
        },
    },
    "circuits": {
        "title": "Circuits",
        "description": "One row for each model of a job whose calls failed too often in a row, so "
        "that no step asked it for a while, latest first.",
        "sort_desc": "opened_at",
        "label_column": "name",
        "facets": ["status", "failure_kind"],
        "columns": {
            "failures": "How many calls in a row had failed when it opened last.",
            "cooldown_s": "How long no step asks the model, in seconds.",
        },
    },
    "files": {
        "title": "Files",
        "description": "One row for each file that a step wrote, as it is now, latest first.",
        "sort_desc": "written_at",
        "label_column": "name",
        "facets": ["media_type"],
        "columns": {"sha256": "The blob with the file's bytes."},
    },
    "events": {
        "title": "Events",
        "description": "Everything that happened, append-only, latest first. The other tables are "
        "derived from this one.",
        "sort_desc": "position",
        "columns": {
            "position": "The event's number in the whole ledger.",
            "version": "The event's number in its job.",
            "hash": "SHA-256 over the job's previous hash and this row.",
        },
    },
    "blobs": {
        "title": "Blobs",
        "description": "Prompts, replies, outputs, logs and files, each kept once under the SHA-256 "
        "of its bytes.",
    },
    "signals": {
        "title": "Signals",
        "description": "Wishes from outside to the process that runs a job, latest first.",
        "sort_desc": "id",
    },
}


def ledger_metadata() -> dict[str, Any]:
    """Datasette's metadata for one ledger; a new value each time, for Datasette changes it."""
    tables: dict[str, dict[str, Any]] = {
        name: {
            key: dict(value) if isinstance(value, dict) else value for key, value in shown.items()
        }
        for name, shown in TABLES.items()
    }
    tables |= {name: {"hidden": True} for name in _HIDDEN}
    return {
        "description": "A ledger of orc. Begin with the jobs, or with one of the queries.",
        "tables": tables,
    }
