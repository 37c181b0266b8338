"""`orc show JOB STEP`: a step with its prompts, replies, tools, output, files and logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orc.cli.terminal.contents.file_text import file_text, json_text, plain_text
from orc.cli.terminal.contents.step_texts import StepContents
from orc.cli.terminal.tables.columns import id_column, number_column, status_column, text_column
from orc.cli.terminal.tables.table import table
from orc.cli.terminal.text import safe
from orc.ledger.command_lines import command_line
from orc.ledger.errors import LedgerError, describe_unreadable
from orc.ledger.wording import (
    calls_cost_text,
    cost_text,
    count_text,
    duration_text,
    number_text,
    score_text,
    size_text,
    tokens_text,
    usd_text,
    used_text,
)
from orc.projections.history.exchange import Turn
from orc.projections.history.turns import AttemptTurn, CallTurn, ShownText
from orc.projections.scores.overview import means_text
from orc.projections.tables.rows import CallRow
from orc.projections.tables.status import step_status
from orc.projections.tables.step_notes import step_note

_FILES_MAX = 10
_FILE_BYTES_MAX = 1_000_000


def step_text(seen: StepContents) -> str:
    """Everything about the step, for a person. It is safe to print."""
    return "".join(_parts(seen))


def _parts(seen: StepContents) -> Iterator[str]:
    view, step = seen.view, seen.step
    status = step_status(view, step, is_live=seen.is_live)
    yield f"{view.job.job_id}  {safe(view.job.name)}  {safe(step.name)}  {status}\n"
    model = f", {safe(step.provider)}/{safe(step.model)}" if step.model else ""
    yield f"  kind       {step.kind}{model}\n"
    if step.attempts:
        taken = f", {duration_text(step.duration_s)}" if step.duration_s is not None else ""
        yield f"  ran        {count_text(step.attempts, 'attempt')}{taken}\n"
    used = view.usage[step.name]
    if used.calls:
        tokens = (used.input_tokens, used.output_tokens)
        total = used_text(used.calls, tokens, used.cost_nano_usd, used.calls_unpriced)
        yield f"  used       {total}\n"
    if step.hidden_key is not None:
        yield _indented("key", step.hidden_key)
    if step.needed:
        yield f"  needs      {safe(', '.join(step.needed))}\n"
    note = step_note(view, step, is_live=seen.is_live)
    if note:
        yield _indented("note", note)
    if step.question:
        yield _indented("asks", step.question)
    yield from _items(seen)
    for attempt in seen.attempts:
        yield from _attempt(attempt)
    if seen.output is not None:
        value, lost = seen.output
        yield "\n== Output\n"
        yield f"({safe(lost)})\n" if lost is not None else value_text(value)
    yield from _scores(seen)
    yield from _files(seen)


def value_text(value: Any) -> str:
    """A value for a person: a text as it is, anything else as JSON."""
    if isinstance(value, str):
        return plain_text(value)
    return json_text(json.dumps(value, indent=2, ensure_ascii=False))


def _items(seen: StepContents) -> Iterator[str]:
    total = len(seen.view.children_of.get(seen.step.name, ()))
    if not total:
        return
    has_scores = any(line.means for line in seen.items)
    has_keys = any(line.step.hidden_key is not None for line in seen.items)
    rows = [
        (
            line.step.name.removeprefix(seen.step.name),
            *(line.step.item_key,) * has_keys,
            step_status(seen.view, line.step, is_live=seen.is_live),
            line.input,
            line.output,
            *(means_text(line.means),) * has_scores,
            duration_text(line.step.duration_s),
            tokens_text(line.used.tokens) if line.used.calls else "",
            calls_cost_text(
                line.used.calls, line.used.cost_nano_usd, line.used.calls_unpriced, brief=True
            ),
        )
        for line in seen.items
    ]
    heads = (
        id_column("STEP"),
        *(text_column("KEY"),) * has_keys,
        status_column(),
        text_column("INPUT"),
        text_column("OUTPUT"),
        *(text_column("SCORES"),) * has_scores,
        number_column("TIME"),
        number_column("TOKENS", drop=2),
        number_column("COST", drop=1),
    )
    yield f"\n== Inside: {count_text(total, 'step')}\n"
    yield f"{table(heads, rows)}\n"
    if total > len(rows):
        command = command_line("show", seen.view.job.job_id, seen.step.name, "--json")
        yield f"({count_text(total - len(rows), 'more step')}: {command})\n"


def _attempt(attempt: AttemptTurn) -> Iterator[str]:
    row = attempt.row
    taken = f", {duration_text(row.duration_s)}" if row.duration_s is not None else ""
    code = f", exit code {row.exit_code}" if row.exit_code is not None else ""
    yield f"\n== Attempt {row.attempt}: {attempt.state}{taken}{code}\n"
    if row.failure:
        yield plain_text(f"{row.failure_kind}: {row.failure}")
    for call in attempt.calls:
        yield from _call(call)
    if attempt.log is not None:
        yield "\n-- log\n"
        yield _shown(attempt.log)


def _call(call: CallTurn) -> Iterator[str]:
    row, texts = call.row, call.exchange
    yield f"\n== Call {row.call}: {safe(row.provider)}/{safe(row.model)}, {_facts(row)}\n"
    if texts.lost:
        yield f"({safe(texts.lost)})\n"
    if texts.system:
        yield f"\n-- system\n{plain_text(texts.system)}"
    for turn in texts.turns:
        yield from _turn(turn, turn.role)
    if call.row.failure:
        yield f"\n-- failure\n{plain_text(f'{call.row.failure_kind}: {call.row.failure}')}"
    if texts.reply is not None:
        yield from _turn(texts.reply, "reply")
    for tool in call.tools:
        if tool.result is not None:
            yield f"\n-- result of the tool {safe(tool.row.tool)}\n{_shown(tool.result)}"


def _facts(row: CallRow) -> str:
    facts = [row.status]
    if row.finish_reason:
        facts.append(safe(row.finish_reason))
    if row.duration_s is not None:
        facts.append(duration_text(row.duration_s))
    if row.input_tokens is not None:
        facts.append(f"{count_text(row.input_tokens, 'token')} in{_caching(row)}")
        facts.append(f"{number_text(row.output_tokens or 0)} out")
    if row.has_cost:
        facts.append(f"cost {cost_text(row.cost_nano_usd, int(row.cost_nano_usd is None))}")
    if row.reported_nano_usd is not None:
        facts.append(f"{usd_text(row.reported_nano_usd)} by the server's own count")
    return ", ".join(facts)


def _caching(row: CallRow) -> str:
    """How much of the input the provider read from its cache and wrote there."""
    counts = ((row.cached_tokens, "from"), (row.cache_write_tokens, "to"))
    said = [f"{number_text(count)} {way} its cache" for count, way in counts if count]
    return f" ({', '.join(said)})" if said else ""


def _turn(turn: Turn, role: str) -> Iterator[str]:
    if turn.reasoning:
        yield f"\n-- reasoning\n{plain_text(turn.reasoning)}"
    if turn.text:
        named = f"result of {turn.tool}" if turn.tool else role
        yield f"\n-- {safe(named)}\n{plain_text(turn.text)}"
    for name, arguments in turn.tool_calls:
        yield f"\n-- calls the tool {safe(name)}\n{plain_text(arguments)}"


def _scores(seen: StepContents) -> Iterator[str]:
    if not seen.scores:
        return
    yield "\n== Scores\n"
    for score in seen.scores:
        if score.error is not None:
            value = f"broken: {score.error}"
        elif score.passed is not None:
            value = "pass" if score.passed else "fail"
        else:
            value = score_text(score.value)
        by = "" if score.who == "expression" else f" (by {score.who} {score.by})"
        why = f"\n  {score.why}" if score.why else ""
        yield plain_text(f"{score.name}  {value}{by}{why}")


def _files(seen: StepContents) -> Iterator[str]:
    for file in seen.files[:_FILES_MAX]:
        yield f"\n== File {safe(file.path)}, {size_text(file.size_bytes)}\n"
        if file.size_bytes > _FILE_BYTES_MAX:
            yield "(too large to be shown here)\n"
            continue
        try:
            yield file_text(file.path, seen.reader.read_blob(file.sha256))
        except LedgerError as error:
            yield f"({safe(describe_unreadable(error))})\n"
    if len(seen.files) > _FILES_MAX:
        command = command_line("show", seen.view.job.job_id, "--files")
        yield f"\n({count_text(len(seen.files) - _FILES_MAX, 'more file')}: {command})\n"


def _indented(label: str, text: str) -> str:
    first, *rest = plain_text(text).rstrip("\n").split("\n")
    lines = [f"  {label:<9}  {first}", *(f"             {line}" for line in rest)]
    return "\n".join(lines) + "\n"


def _shown(text: ShownText) -> str:
    return f"({safe(text.lost)})\n" if text.lost is not None else plain_text(text.text)
