"""A number that a page states is the one that the code has."""

from __future__ import annotations

import re

import pytest

from orc.cli import named_secrets
from orc.cli.jobs import owner_request
from orc.cli.jobs.caller import spec_files
from orc.cli.jobs.queue import worker
from orc.ledger import bounds, connection, packing, step_names
from orc.ledger.definition import CircuitDef, RetryDef
from orc.ledger.kinds import KINDS
from orc.ledger.secrets import masking, spellings
from orc.ledger.wording import count_text, number_text, size_text
from orc.projections.datasette import incoming, limits
from orc.projections.exports import html, junit
from orc.projections.history import job_diff, text_diff
from orc.projections.pictures import collapse
from orc.projections.why import waits
from orc.providers import anthropic_body, mlx
from orc.scheduler import rates, signals
from orc.scheduler.core import durations, source
from orc.scheduler.core.fold import placing
from orc.scheduler.core.source import yaml_source
from orc.scheduler.core.spec import model
from orc.scheduler.effects import contract, prompt
from orc.scheduler.effects.groups import GRACE_S
from tests.docs.conftest import read_page
from tests.each_case import each_case

WORDS = {2: "two", 3: "three", 10: "ten"}
YAML = f"{size_text(source.SIZE_MAX)}, {yaml_source.DEPTH_MAX} levels, and aliases for "
STORED = f"more than {size_text(bounds.STORED_BYTES_MIN)}"
INLINE = f"values? of up to {size_text(packing.INLINE_BYTES_MAX)}"
NUMBERS = [
    ("docs/spec.md", f"at most {YAML}{number_text(yaml_source.ALIASED_NODES_MAX)} nodes"),
    ("docs/spec.md", f"`-`, at most {model.STEP_ID_LENGTH_MAX}\\."),
    ("docs/spec.md", f"or as {number_text(rates.FIRST_TOKENS)} before the first reply"),
    ("docs/spec.md", f"less one final newline, at most {size_text(contract.OUTPUT_BYTES_MAX)}"),
    ("docs/spec.md", f"the first {prompt.TOOL_CALLS_MAX} tool calls are made"),
    ("docs/spec.md", f"less than {masking.SECRET_CHARS_MIN} characters"),
    ("docs/spec.md", f"after {WORDS[placing.LOST_MAX]} lost workers the step fails"),
    ("docs/spec.md", f"then `TIMEOUT_S`, then {KINDS['prompt'].timeout_s:.0f} seconds"),
    ("docs/spec.md", f"tools. Default: {(KINDS['prompt'].attempt_timeout_s or 0) / 3600:.0f} hours"),
    ("docs/spec.md", f"is {KINDS['prompt'].attempts} for prompts and {KINDS['run'].attempts} for"),
    ("docs/spec.md", f"at most `jitter`, by default {RetryDef().jitter}"),
    ("docs/promises.md", f"{YAML}{number_text(yaml_source.ALIASED_NODES_MAX)} nodes"),
    ("docs/promises.md", f"{size_text(spec_files.FILE_BYTES_MAX)} for a text or an image"),
    ("docs/promises.md", f"file busy for {connection._BUSY_TIMEOUT_S} seconds"),
    ("docs/promises.md", f"under {masking.SECRET_CHARS_MIN} characters are refused"),
    ("docs/promises.md", f"A file of {STORED} is beside the ledger"),
    ("docs/keeping.md", f"files of {STORED}"),
    ("docs/keeping.md", f"every {INLINE}"),
    ("docs/keeping.md", f"contain {INLINE}"),
    ("docs/architecture.md", f"Files of {STORED} are beside the ledger"),
    ("docs/architecture.md", f"table every {signals.POLL_S * 1000:.0f} ms"),
    ("docs/architecture.md", f"SIGKILL after {WORDS[int(GRACE_S)]} seconds"),
    ("docs/queue.md", f"SIGKILL after {WORDS[int(GRACE_S)]} seconds"),
    ("docs/queue.md", f"again after {worker.AGAIN_S / 60:.0f} minutes"),
    ("docs/cli.md", f"wait for up to {owner_request.ANSWER_WAIT_S:.0f} seconds"),
    ("docs/cli.md", f"Waits below {waits.REPORTED_WAIT_S * 1000:.0f} ms are not shown"),
    ("docs/cli.md", f"longer than {size_text(job_diff.TEXT_BYTES_MAX)}"),
    ("docs/cli.md", f"more than {number_text(text_diff.COMPARED_LINES_MAX)} lines"),
    ("docs/exports.md", f"about {html.TEXT_BYTES_MAX // 10**6} MB of text"),
    ("docs/exports.md", f"the last {junit.TAIL_LINES} lines"),
    ("docs/providers.md", f"ends after {count_text(mlx.MAX_TOKENS, 'token')}"),
    ("docs/providers.md", f"has none, {anthropic_body.MAX_TOKENS_DEFAULT} is sent"),
    ("docs/cli.md", f"of more than {collapse.FEW} steps"),
    ("docs/security.md", f"Files of up to {size_text(named_secrets.FILE_BYTES_MAX)}"),
    ("docs/security.md", f"in lines of {spellings.WRAPPED_CHARS_MIN} characters or more"),
    ("docs/security.md", f"each line of {spellings.LINE_CHARS_MIN} characters or more"),
    ("docs/security.md", f"more than {size_text(bounds.BLOB_BYTES_MAX)} is not read"),
    ("docs/security.md", f"value may have {size_text(limits.VALUE_BYTES_MAX)}"),
    ("docs/security.md", f"one statement {size_text(limits.RESULT_BYTES_MAX)}"),
    ("docs/security.md", f"SQLite {size_text(limits.HEAP_BYTES_MAX)}"),
    ("docs/security.md", f"a statement {limits.OPCODES_MAX // 10**6} million instructions"),
    ("docs/security.md", f"{incoming.WAITING_MAX} wait"),
    ("docs/run-folder.md", f"files of {STORED}"),
    ("docs/run-folder.md", f"more than {step_names._NAME_BYTES_MAX} bytes is cut"),
    ("docs/environment.md", f"default {KINDS['prompt'].timeout_s:.0f}"),
    ("docs/environment.md", f"default {CircuitDef().threshold} and {CircuitDef().cooldown_s:.0f}"),
    ("docs/migration.md", f"default {CircuitDef().threshold}, and for how many seconds, default "
     f"{CircuitDef().cooldown_s:.0f}"),
]  # fmt: skip
"""Pages, and what they say as a regular expression, made from the constants."""


@each_case("page, said", NUMBERS)
def test_a_page_states_the_number_of_the_code(page: str, said: str) -> None:
    assert re.search(said, read_page(page)), f"{page} should say: {said}"


def test_the_longest_duration_is_named_in_days() -> None:
    with pytest.raises(ValueError, match=f"at most {durations.DURATION_MAX_S / 86400:.0f}d"):
        durations.parse_duration("1000d")
