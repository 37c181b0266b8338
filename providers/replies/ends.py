"""Why a reply ended: the words of all vendors, in the six classes that orc distinguishes.

A word is looked up without its case, and `-`, `_` and spaces are the same. One table serves all
adapters, because a compatible server passes on the words of the model's own vendor.
"""

from __future__ import annotations

from typing import Literal

from orc.providers.contract import Usage
from orc.providers.errors import PermanentError, ProviderError, TransientError

End = Literal["stop", "length", "tool_calls", "paused", "refused", "failed"]

_WORDS: dict[End, str] = {
    "stop": (
        "stop end end_turn stop_sequence stop_token eos eos_token complete completed done "
        "finish finished success stop_str"
    ),
    "length": (
        "length max_tokens max_token max_output_tokens max_completion_tokens max_new_tokens "
        "max_length max_len model_length model_context_window_exceeded context_length "
        "context_length_exceeded context_window_exceeded token_limit limit max_context reason_max_len "
        "reason_max_context"
    ),
    "tool_calls": "tool_calls tool_call tool_use function_call function_calls tool",
    "paused": "pause pause_turn paused compaction",
    "refused": (
        "content_filter content_filtered content_filter_error filter filtered refusal refused safety "
        "recitation blocklist prohibited_content spii language sensitive image_safety "
        "image_prohibited_content image_recitation guardrail_intervened guardrail moderation "
        "moderated blocked block model_armor error_toxic toxic content_policy_violation"
    ),
    "failed": (
        "error fail failed failure abort aborted cancel cancelled canceled network_error timeout "
        "time_limit insufficient_system_resource malformed_function_call malformed_response "
        "malformed_tool_use malformed_model_output unexpected_tool_call too_many_tool_calls "
        "missing_thought_signature other finish_reason_unspecified unspecified reason_invalid "
        "no_image image_other "
        "repetition error_limit error_finish user_cancel engine_error internal_error server_error "
        "load unload overloaded interrupted expired disconnect"
    ),
}
_ENDS: dict[str, End] = {word: end for end, words in _WORDS.items() for word in words.split()}


def classify(word: str) -> End | None:
    """The class of a finish reason; None for a word that no vendor has published."""
    return _ENDS.get("_".join(word.lower().replace("-", "_").split()).strip("_"))


def read_end(
    who: str,
    word: str,
    *,
    usage: Usage | None,
    has_text: bool,
    has_calls: bool,
    why: str = "",
) -> str:
    """The `finish_reason` of a reply that ended with this word; all texts must be safe to record.

    An unknown word is kept if the reply has text or tool calls, so that the step can warn of it.
    Raises PermanentError (refused) for a refusal, and TransientError for a failure and for a reply
    with an unknown end and nothing in it.
    """
    end = classify(word)
    said = f": {why}" if why else ""
    if end == "refused":
        raise build_refused(f"{who} refused to answer ({word}){said}", usage)
    if end == "failed":
        raise build_failed(who, word, usage, said=said)
    if end is None and not (has_text or has_calls):
        raise TransientError(
            "protocol", f"{who}'s reply is empty and ended with {word!r}{said}", usage=usage
        )
    if has_calls and end == "stop":
        return "tool_calls"
    if end == "tool_calls" and not has_calls:
        if not has_text:
            raise TransientError(
                "protocol", f"{who}'s reply ended with {word!r} but has no tool call", usage=usage
            )
        return "stop"
    return word if end is None else end


def build_refused(message: str, usage: Usage | None) -> PermanentError:
    """The error for a reply that is a refusal. Without counts, what it used is unknown, not nothing."""
    error = PermanentError("refused", message, usage=usage)
    error.is_partial = usage is None
    return error


def build_failed(who: str, word: str, usage: Usage | None, *, said: str = "") -> ProviderError:
    """The error for a reply that the server ended because it failed."""
    error = TransientError(
        "server_error", f"{who} failed during its reply ({word}){said}", usage=usage
    )
    error.is_partial = True
    return error
