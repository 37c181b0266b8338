"""The table of bounds names each bound with the value that the code has."""

from __future__ import annotations

from orc.ledger import bounds
from orc.ledger.definition import DEFAULT_LIMITS
from orc.ledger.wording import count_text, number_text, size_text
from orc.providers import reply_bounds
from orc.scheduler.core.commands import MESSAGE_CHARS_MAX
from orc.scheduler.core.language import value_bounds
from orc.scheduler.core.resolve import item_lists
from orc.scheduler.core.shell import insertion
from orc.scheduler.core.spec import resources
from orc.scheduler.effects import contract, prompt, tools
from orc.worker import capture_rules
from orc.worker.function_worker import ANSWER_BYTES_MAX
from tests.docs.conftest import read_page

BOUNDS = {
    "an integer": f"{number_text(bounds.INTEGER_DIGITS_MAX)} digits",
    "levels of lists and mappings in a value": f"{bounds.LEVELS_MAX}; in an input or a reply "
    f"{bounds.INNER_LEVELS_MAX}",
    "values in one value, all levels together": number_text(bounds.VALUES_MAX),
    "text in one value, keys included": size_text(bounds.BLOB_BYTES_MAX),
    "the results of items, rounds or members together, as one value": size_text(
        bounds.BLOB_BYTES_MAX
    ),
    "text that a template, `~` or a filter builds": size_text(value_bounds.TEXT_CHARS_MAX),
    "an operand of an operator": f"{number_text(value_bounds.OPERAND_LENGTH_MAX)} characters or "
    "items",
    "the value of a template in `run` or `env`": count_text(insertion.VALUE_BYTES_MAX, "byte"),
    "items of a `for_each`": number_text(item_lists.ITEMS_MAX),
    "stdout of a command": f"{size_text(contract.OUTPUT_BYTES_MAX)}; by [`limits`](#limits) "
    f"{size_text(resources.OUTPUT_LIMIT_MAX)}",
    "the return value of a function, as JSON": size_text(ANSWER_BYTES_MAX),
    "the log of an attempt": f"{size_text(DEFAULT_LIMITS.log_bytes)}; by [`limits`](#limits) "
    f"{size_text(resources.LOG_LIMIT_MAX)}",
    "a captured file": f"{size_text(DEFAULT_LIMITS.file_bytes)}, or what [`limits`](#limits) says",
    "captured files, or artifacts, of one attempt": number_text(capture_rules.FILES_MAX),
    "tool calls of one reply that are made": number_text(prompt.TOOL_CALLS_MAX),
    "tool calls in one reply": number_text(reply_bounds.CALLS_MAX),
    "the name or the id of a tool call": count_text(reply_bounds.NAME_CHARS_MAX, "character"),
    "each token count of a reply": number_text(reply_bounds.TOKENS_MAX),
    "the result of a tool, as the model gets it": count_text(tools.RESULT_CHARS_MAX, "character"),
    "the message of a failure": count_text(MESSAGE_CHARS_MAX, "character"),
}


def test_the_page_states_the_bounds_of_the_code() -> None:
    text = read_page("docs/spec.md").partition("## Bounds")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    stated = {what: limit for what, limit, *_ in rows[2:]}
    finite = stated.pop("a number with a fraction")
    assert finite == "finite: no infinity, no NaN"
    assert stated == BOUNDS
