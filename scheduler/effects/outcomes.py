"""Reads how the work of an attempt ended: the result of the step, or its failure.

An executor may have performed the work elsewhere. Nothing in an outcome is trusted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from orc.ledger.bounds import LEVELS_MAX
from orc.ledger.definition import LimitsDef
from orc.ledger.digest import clean_text
from orc.ledger.kinds import FailureKind
from orc.ledger.scarcity import find_shortage
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import size_text
from orc.scheduler.core.commands import Failed
from orc.scheduler.core.strict_json import parse_json
from orc.scheduler.effects.contract import FunctionUse, Result
from orc.scheduler.effects.text import json_result
from orc.scheduler.executors.contract import Broken, WorkOutcome
from orc.worker.function_worker import ANSWER_BYTES_MAX

TAIL_CHARS = 300
"""How much of the end of stderr a message quotes."""
_MESSAGE_CHARS_MAX = 1000
_encode = json.JSONEncoder(ensure_ascii=False).encode
_ANSWER_FRAME = len('{"value": }\n')


def too_much_output(limit: int) -> Broken:
    """The end of a command that printed more than `limit` bytes."""
    return Broken(
        "output_too_large",
        f"the command printed more than {size_text(limit)} to stdout; write a file and capture it "
        "with `files:` instead",
    )


def command_result(
    outcome: WorkOutcome,
    *,
    wants_json: bool,
    output_schema: Mapping[str, Any] | None,
    mask: Mask,
) -> Result:
    """The command's stdout without one final newline, or its failure."""
    duration_s = outcome.duration_s
    complaint = mask.text(clean_text(outcome.stderr_tail.decode("utf-8", "replace")))
    if outcome.broken is not None:
        failed = _broken(outcome.broken, mask, duration_s)
        return Result(failed=failed, complaint=complaint)
    if outcome.signal is not None or outcome.exit_code != 0:
        return Result(failed=_failure(outcome, complaint), complaint=complaint)
    said = clean_text(outcome.stdout.decode("utf-8", "replace")).removesuffix("\n")
    text = mask.text(said)
    warning = outcome.warning
    if warning is None and "\ufffd" in said and not _is_utf8(outcome.stdout):
        warning = "the output was not valid UTF-8; the log has the original bytes"
    if wants_json:
        read = partial(json_result, duration_s=duration_s, what="the output", schema=output_schema)
        result = read(text)
        if result.failed is not None and text != said:
            # Masking a number breaks the JSON, so parse first and mask the value.
            value = read(said)
            result = result if value.failed else replace(value, value=mask.value(value.value))
        return replace(result, warning=warning, text=text)
    return Result(value=text, text=text, warning=warning)


def function_result(
    outcome: WorkOutcome, *, limits: LimitsDef, mask: Mask, use: FunctionUse = "call"
) -> Result:
    """The function's value, or its failure."""
    if outcome.broken is not None:
        return Result(failed=_broken(outcome.broken, mask, outcome.duration_s))
    if outcome.answer is None:
        return Result(failed=_died(outcome))
    result = _read_answer(outcome.answer, limits, use, mask, outcome.duration_s)
    return result if outcome.warning is None else replace(result, warning=outcome.warning)


def _is_utf8(output: bytes) -> bool:
    """Whether U+FFFD in the decoded output was printed as such, and stands for no other bytes."""
    try:
        output.decode()
    except UnicodeDecodeError:
        return False
    return True


def _broken(broken: Broken, mask: Mask, duration_s: float) -> Failed:
    message = mask.text(clean_text(broken.message))[:_MESSAGE_CHARS_MAX]
    return Failed(kind=broken.kind, message=message, duration_s=duration_s)


def _failure(outcome: WorkOutcome, complaint: str) -> Failed:
    said = complaint.strip()
    last = said.splitlines()[-1][-TAIL_CHARS:] if said else ""
    because = f": {last}" if last else ""
    duration_s = outcome.duration_s
    if outcome.signal is not None:
        name = clean_text(outcome.signal)
        message = f"the command was ended by {name}{because}"
        return Failed(kind="signal", message=message, duration_s=duration_s, signal=name)
    message = f"the command exited with code {outcome.exit_code}{because}"
    return Failed(
        kind="exit_code", message=message, duration_s=duration_s, exit_code=outcome.exit_code
    )


def _died(outcome: WorkOutcome) -> Failed:
    duration_s = outcome.duration_s
    if outcome.signal is not None:
        name = clean_text(outcome.signal)
        message = f"the worker process was ended by {name}"
        return Failed(kind="signal", message=message, duration_s=duration_s, signal=name)
    code = outcome.exit_code
    message = f"the worker process ended without an answer (exit status {code})"
    return Failed(kind="exit_code", message=message, duration_s=duration_s, exit_code=code)


def _read_answer(
    line: bytes, limits: LimitsDef, use: FunctionUse, mask: Mask, duration_s: float
) -> Result:
    try:
        # The answer is a mapping around the value.
        answer = parse_json(line.decode("utf-8", "replace"), levels_max=LEVELS_MAX + 1)
    except ValueError as error:
        message = f"the function's return value cannot be stored: {error}"
        return Result(failed=Failed(kind="schema", message=message, duration_s=duration_s))
    if "kind" in answer:
        # Mask before cutting, because part of a secret would not be found.
        message = mask.text(clean_text(answer["message"]))[:_MESSAGE_CHARS_MAX]
        if answer["kind"] == "output_too_large":
            message += _too_large(ANSWER_BYTES_MAX)
        refused = OSError(answer["errno"], "") if "errno" in answer else None
        # A model can do nothing about a machine without memory: its tool did not fail by its call.
        is_short = use == "tool" and refused and find_shortage(refused)
        kind: FailureKind = "environment" if is_short else answer["kind"]
        return Result(failed=Failed(kind=kind, message=message, duration_s=duration_s))
    limit = limits.output_bytes
    if limit is not None and len(line) > limit + _ANSWER_FRAME:
        message = "the return value is too large" + _too_large(limit)
        failed = Failed(kind="output_too_large", message=message, duration_s=duration_s)
        return Result(failed=failed)
    value = mask.value(answer["value"])
    text = value if isinstance(value, str) else _encode(value)
    return Result(value=value, text=text)


def _too_large(limit: int) -> str:
    return (
        f": it has more than {size_text(limit)} as JSON; write a file and capture it with "
        "`files:` instead"
    )
