"""What a failure means, by what the server says: its status alone is often wrong.

The patterns are the words of OpenAI, Azure, Anthropic, Gemini, Mistral, xAI, Groq, DeepSeek, OpenRouter,
LiteLLM, Together, vLLM, SGLang, llama.cpp, LM Studio, TGI and Ollama.
"""

from __future__ import annotations

import re
from typing import Literal

Meaning = Literal["over_limit", "context_length", "no_credit", "refused", "overloaded", "loading"]

_CODES: dict[Meaning, str] = {
    "context_length": (
        "context_length_exceeded exceed_context_size_error contextwindowexceedederror "
        "request_too_large string_above_max_length model_max_prompt_tokens_exceeded"
    ),
    "no_credit": (
        "insufficient_quota billing_error billing_hard_limit_reached billing_not_active "
        "insufficient_balance insufficient_credits exceeded_current_quota_error budget_exceeded "
        "payment_required arrearage access_terminated account_deactivated"
    ),
    "refused": (
        "content_filter content_policy_violation contentpolicyviolationerror "
        "image_content_policy_violation bio_policy misalignment_policy_violation "
        "responsibleaipolicyviolation moderation_blocked data_inspection_failed "
        "datainspectionfailed content_filtered prohibited_content safety"
    ),
    "overloaded": (
        "overloaded_error server_overloaded server_is_overloaded engine_overloaded "
        "engine_overloaded_error model_overloaded overloaded slow_down queue_exceeded "
        "capacity_exceeded unavailable"
    ),
}
_CODE_MEANINGS: dict[str, Meaning] = {
    code: meaning for meaning, codes in _CODES.items() for code in codes.split()
}
_WORDS: tuple[tuple[Meaning, str], ...] = (
    ("over_limit", r"request too large for"),
    (
        "loading",
        r"loading model|still loading|is being loaded|warming up|model loading"
        r"|(model|server|service|engine|llm)\b[^.]{0,200}? is ((currently|still|not yet|now) )?"
        r"(being )?(loading|starting|initiali[sz]ing|not ready)"
        r"|(model|server|service) (is )?not (yet )?(ready|loaded yet)|llama runner to start",
    ),
    (
        "context_length",
        r"maximum (context|model|prompt) length|max_model_len"
        r"|exceed\w* (the |its |this |your )?(model'?s? |available |max(imum)? )*context"
        r"|context (size|length|window)( of [\w\W]{0,40})? (has been |is |was )?(exceed|overflow)"
        r"|context window exceeds|exceed\w* (the )?(model )?(token|context) limit|model token limit"
        r"|context the overflows|context overflow|reached context length"
        r"|longer than the (model'?s? |max(imum)? )*(context|model|prompt) ?length"
        r"|greater than the context length|loaded with context length"
        r"|(prompt|input|request) (is )?too (long|large)\b(?! for your)"
        r"|input is too large to process|too large for (the )?model"
        r"|input token count \S* ?exceeds|token count[^.]{0,40} exceeds the (limit|maximum)"
        r"|reduce the length of the (messages|prompt|input)"
        r"|inputs` must have less than|inputs` tokens \+|max_new_tokens` must be"
        r"|input length and `?max_tokens`? exceed|contextwindowexceeded"
        r"|too many (input )?tokens: size limit",
    ),
    (
        "no_credit",
        r"insufficient[ _](balance|credit|fund|quota)|credit balance is too low|out of credits?"
        r"|not enough (credits?|balance|funds)|(never|not) purchased credits|requires more credits"
        r"|billing hard limit|budget has been exceeded|used all available credits"
        r"|monthly spending limit|spending (limit|cap) (has been )?(reached|exceeded)"
        r"|payment (is )?required|account (is )?(in arrears|overdue)|balance is (too low|not enough)"
        r"|no (remaining |more )?credits?( left)?\b|add (more )?credits",
    ),
    (
        "refused",
        r"\bflagged\b|content exists risk|blocked by content filtering"
        r"|content (management|safety|usage)? ?policy|content[ _]filter"
        r"|violat\w+ [^.]{0,60}(guideline|polic|terms)|inappropriate content"
        r"|(prompt|input|request|content) (was |has been )?(blocked|rejected) (by|due to|because of) "
        r"[^.]{0,40}(safety|moderation|filter|polic)|sensitive content|requires moderation",
    ),
    (
        "overloaded",
        r"overloaded|at (full )?capacity|over capacity|server is busy|(server|service|model) (is )?busy"
        r"|no (available|healthy) (channel|instance|server|upstream|deployment)s?"
        r"|high demand|temporarily unavailable",
    ),
)
_PATTERNS = tuple((meaning, re.compile(words, re.IGNORECASE)) for meaning, words in _WORDS)

_WAIT = re.compile(
    r"(?:try again in|retry in|retry after|retrydelay\W{1,4})\s*"
    r"(?:(\d{1,4})h)?\s*(?:(\d{1,4})m(?!s))?\s*(?:(\d{1,6}(?:\.\d+)?)\s*(ms|s\b|sec\w*))?",
    re.IGNORECASE,
)


def find_meaning(*, code: str, kind: str, words: str) -> Meaning | None:
    """What the failure means, by its code or kind, or else by its words; None if they do not say."""
    for name in (code, kind):
        last = name.lower().rpartition(".")[2]
        if last in _CODE_MEANINGS:
            return _CODE_MEANINGS[last]
    for meaning, pattern in _PATTERNS:
        if pattern.search(words):
            return meaning
    return None


def find_wait(text: str, status: int) -> float | None:
    """The seconds that an error message asks to wait, such as "try again in 1m2.5s"; None without.

    Only messages about a limit or a server that is busy (429, 503) speak of a wait.
    """
    if status not in (429, 503):
        return None
    for found in _WAIT.finditer(text):
        hours, minutes, number, unit = found.groups()
        if hours is None and minutes is None and number is None:
            continue
        seconds = float(number or 0) / (1000 if unit and unit.lower() == "ms" else 1)
        return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds
    return None
