"""Which keys of the language have templates, and when they are rendered: one table for all keys.

The checks, the JSON Schema and `docs/spec.md` take it from here. A key without an entry is found by
a test, so that each new key is decided. A template in a key that is not rendered is an error: no
`${{` is ever taken literally.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from pydantic import BaseModel


class Rendered(StrEnum):
    """When the texts of a key are rendered. The values are the words of the documentation."""

    SUBMISSION = "at submission"
    READY = "when ready"
    ITEMS = "before the items"
    ITEM = "for each item"
    ATTEMPT = "at each attempt"
    RESULT = "for the result"
    HOOK = "when the hook runs"
    CONDITION = "a condition"
    INSIDE = "inside"
    """The value is a mapping, or a list of mappings, whose own keys are in the table."""
    NEVER = "never"


_TABLE: dict[str, dict[Rendered, str]] = {
    "JobSpec": {
        Rendered.SUBMISSION: "task_description provider model base_url timeout",
        Rendered.INSIDE: "fallback params rate servers concurrency budget inputs defaults steps "
        "hooks",
        Rendered.NEVER: "template project cache executor ship timeout_s keep_work output_dir env "
        "secrets tags",
    },
    "DefaultsSpec": {
        Rendered.SUBMISSION: "provider model timeout attempt_timeout total_timeout",
        Rendered.ATTEMPT: "system",
        Rendered.INSIDE: "fallback params retry limits",
        Rendered.NEVER: "cache batch cache_prompt wait_for_server retry_on continue_on_error on_unknown "
        "executor cwd env",
    },
    "StepSpec": {
        Rendered.READY: "provider model base_url timeout attempt_timeout total_timeout",
        Rendered.ATTEMPT: "prompt system run args value with_ env",
        Rendered.ITEMS: "for_each matrix max_parallel",
        Rendered.ITEM: "key",
        Rendered.CONDITION: "if_",
        Rendered.INSIDE: "messages embed fallback params tools approval steps loop budget output files "
        "limits resources retry score",
        Rendered.NEVER: "repeat max_turns batch cache cache_prompt python workflow as_ on_unknown "
        "idempotent needs secrets workspace cwd executor labels queue_timeout wait_for_server retry_on "
        "continue_on_error",
    },
    "ParamsSpec": {
        Rendered.READY: "temperature top_p max_tokens stop seed top_k min_p presence_penalty "
        "frequency_penalty repeat_penalty reasoning_effort num_ctx num_thread num_predict "
        "keep_alive openai anthropic ollama mlx",
    },
    "TargetSpec": {Rendered.READY: "provider model base_url"},
    "ToolSpec": {
        Rendered.READY: "description parameters allow",
        Rendered.NEVER: "name builtin python mcp",
    },
    "EmbedSpec": {Rendered.ATTEMPT: "texts", Rendered.NEVER: "dimensions per_request"},
    "OutputSpec": {Rendered.READY: "json_schema", Rendered.NEVER: "format repair"},
    "MessageSpec": {Rendered.ATTEMPT: "content", Rendered.NEVER: "role"},
    "PartSpec": {Rendered.ATTEMPT: "text image file"},
    "FileSpec": {Rendered.ATTEMPT: "path content glob", Rendered.NEVER: "required"},
    "ApprovalSpec": {
        Rendered.ATTEMPT: "message",
        Rendered.NEVER: "options timeout on_timeout",
    },
    "LoopSpec": {Rendered.CONDITION: "until", Rendered.NEVER: "max_iterations on_exhausted"},
    "BudgetSpec": {Rendered.NEVER: "max_cost_usd max_tokens max_calls on_exceeded"},
    "ServerSpec": {
        Rendered.INSIDE: "rate headers prices",
        Rendered.NEVER: "api base_url key query plain_http model timeout wait_for_server "
        "concurrency limit_field json_mode tools_strict stream reasoning_field batch",
    },
    "ServersFile": {Rendered.INSIDE: "servers"},
    "HeaderSpec": {Rendered.NEVER: "env prefix"},
    "ServerPriceSpec": {
        Rendered.NEVER: "input output cached_input cache_write",
        Rendered.INSIDE: "batch",
    },
    "BatchPriceSpec": {Rendered.NEVER: "input output cached_input cache_write"},
    "RateSpec": {Rendered.NEVER: "requests_per_min tokens_per_min"},
    "ConcurrencySpec": {Rendered.NEVER: "total"},
    "LimitsSpec": {Rendered.NEVER: "file_bytes output_bytes log_bytes"},
    "ResourcesSpec": {Rendered.NEVER: "cpu memory gpu time scratch"},
    "RetrySpec": {Rendered.NEVER: "max_attempts backoff initial max jitter"},
    "InputSpec": {
        Rendered.NEVER: "type description required default enum format columns encoding "
        "allow_empty max_size"
    },
    "HooksSpec": {Rendered.INSIDE: "succeeded failed cancelled waiting"},
    "HookSpec": {Rendered.HOOK: "run env", Rendered.NEVER: "secrets timeout"},
    "ScoreSpec": {Rendered.RESULT: "value why of"},
    "FileText": {Rendered.NEVER: "file"},
}
_SEPARATE = ("steps", "inputs", "defaults", "score", "hooks", "servers")
"""Keys whose mappings have a scope of their own."""
_HAS_TEXTS = (Rendered.SUBMISSION, Rendered.READY, Rendered.ATTEMPT, Rendered.ITEM, Rendered.HOOK)


@cache
def rendered(model: type[BaseModel], key: str) -> Rendered | None:
    """When the field of the model is rendered; None if nobody has decided that."""
    for when, keys in _TABLE.get(model.__name__, {}).items():
        if key in keys.split():
            return when
    return None


@cache
def keys_with_templates(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a model whose texts are templates, or are inside mappings that have some.

    Keys that are rendered before the items, and conditions, have a scope of their own.
    """
    return tuple(
        key
        for key in model.model_fields
        if rendered(model, key) in (*_HAS_TEXTS, Rendered.INSIDE) and key not in _SEPARATE
    )
