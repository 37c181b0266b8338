"""`orc show`: prints a job with its steps, or its events, files, graph or timeline.

It starts fast, since it reads only the tables, except with --events.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from orc.cli.assess.lines import assessment_lines
from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import JobTables, read_job_at, read_ledger, say_as_of
from orc.cli.options import At, Database, Job, Json, refuse_ignored
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.contents.files_table import show_files
from orc.cli.terminal.contents.job_value import (
    doubts_of,
    dropped_parameters,
    folder_of,
    job_value,
    open_circuits,
    scores_of,
    step_value,
)
from orc.cli.terminal.job_folder import kept_work, put_kept
from orc.cli.terminal.job_notes import note_lines
from orc.cli.terminal.next_lines import next_steps
from orc.cli.terminal.paragraphs import first_line, paragraph
from orc.cli.terminal.step_selection import select_steps, under_their_groups
from orc.cli.terminal.tables.columns import id_column, number_column, status_column, text_column
from orc.cli.terminal.tables.table import is_cut, put_table
from orc.cli.terminal.text import is_plain_terminal, put, put_json, safe, terminal_width
from orc.cli.terminal.times import ago, when
from orc.ledger.command_lines import command_line
from orc.ledger.kinds import NOT_LIVE
from orc.ledger.wording import (
    calls_cost_text,
    count_text,
    duration_text,
    steps_text,
    tokens_text,
    used_text,
)
from orc.projections.scores.overview import means_text
from orc.projections.tables.job_view import JobView, read_view
from orc.projections.tables.rows import JobRow, StepRow
from orc.projections.tables.status import step_status
from orc.projections.tables.step_notes import step_note

_MODELS_MAX = 3


def command(
    job: Job,
    step: Annotated[
        str | None,
        Argument(help="A step's id: show the step.", metavar="STEP", complete="complete_steps"),
    ] = None,
    database: Database = None,
    prompt: Annotated[
        bool, Option("--prompt", help="Print the prompt of STEP, and nothing else.")
    ] = False,
    reply: Annotated[
        bool, Option("--reply", help="Print the last reply of STEP, and nothing else.")
    ] = False,
    output: Annotated[
        bool, Option("--output", help="Print the result of STEP, and nothing else.")
    ] = False,
    events: Annotated[bool, Option("--events", "-e", help="Show the events.")] = False,
    files: Annotated[bool, Option("--files", "-f", help="Show the files.")] = False,
    graph: Annotated[bool, Option("--graph", "-g", help="Show the graph.")] = False,
    timeline: Annotated[
        bool, Option("--timeline", "-t", help="Show when each step ran, and how long.")
    ] = False,
    result: Annotated[
        str | None,
        # The name of `STEP --output` in older scripts.
        Option("--result", hidden=True, metavar="STEP", complete="complete_steps"),
    ] = None,
    at: At = None,
    is_all: Annotated[
        bool, Option("--all", help="Show every item, round and member, also of large jobs.")
    ] = False,
    no_pager: Annotated[
        bool, Option("--no-pager", help="Print a long STEP without a pager.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Show a job or one step: texts, events, files, graph or timeline.

    Without further options it shows the job's state and its steps. With STEP it shows the prompts,
    replies, reasoning and tools of each attempt, the output, the files and the logs; on a terminal
    through $ORC_PAGER, $PAGER or less if they are long. --prompt, --reply and --output print
    exactly that text if stdout is not a terminal.
    """
    if result is not None and step is None:
        step, output = result, True
    texts = {"prompt": prompt, "reply": reply, "output": output}
    alone = [name for name, is_given in texts.items() if is_given]
    if len(alone) > 1:
        options = " and ".join(f"--{name}" for name in alone)
        raise UsageProblem(f"{options} cannot be combined; choose one")
    if step is None and (alone or no_pager):
        option = alone[0] if alone else "no-pager"
        raise UsageProblem(f"--{option} needs a step: give its id after the job")
    views = {
        "--events": events,
        "--files": files,
        "--graph": graph,
        "--timeline": timeline,
    }
    if step is not None:
        refuse_ignored({**views, "--all": is_all}, why="STEP shows one step")
        return _show_step(
            job,
            step,
            database,
            up_to=at,
            only=alone[0] if alone else None,
            pager=not no_pager,
            as_json=as_json,
        )
    chosen = [option for option, is_given in views.items() if is_given]
    if len(chosen) > 1 and chosen != ["--graph", "--timeline"]:
        raise UsageProblem(f"{' and '.join(chosen)} cannot be combined; choose one")
    if chosen:
        refuse_ignored({"--all": is_all}, why=f"{chosen[0]} shows everything")
    if events:
        return _show_events(job, database, up_to=at, as_json=as_json)
    with read_job_at(database, job, at) as tables:
        if files:
            return show_files(tables.connection, tables.job_id, as_json=as_json)
        return _show_job(tables, is_all=is_all, graph=graph, timeline=timeline, as_json=as_json)


def _show_job(
    tables: JobTables, *, is_all: bool, graph: bool, timeline: bool, as_json: bool
) -> int:
    """Print the job with its steps; with `graph` or `timeline`, those instead."""
    view = read_view(tables.connection, tables.job_id)
    status = tables.status(view.job.status)
    coming = None
    if tables.at is None and not (graph or timeline):
        coming = next_steps(tables.connection, tables.path, tables.job_id, status)
    if as_json:
        value = job_value(tables, view, status)
        put_json({**value, "next": coming.command() if coming else None})
        return 0
    put(f"{tables.job_id}  {safe(view.job.name)}  {status}")
    if graph or timeline:
        _put_pictures(tables, view, status, graph=graph, timeline=timeline)
        return 0
    _put_head(tables, view, status)
    _put_steps(tables, view, status, is_all=is_all)
    if coming is not None:
        put_kept(kept_work(folder_of(tables, view), view.steps))
        coming.put()
    return 0


def _put_pictures(
    tables: JobTables, view: JobView, status: str, *, graph: bool, timeline: bool
) -> None:
    # Imported here, like the module for events below, so that a plain `orc show` starts fast.
    from orc.projections import text_graph
    from orc.projections.history.timeline import read_timeline
    from orc.projections.pictures.nodes import nodes_of_view
    from orc.projections.pictures.timeline_text import text_timeline
    from orc.scheduler.clock import Clock

    width, is_plain = terminal_width(), is_plain_terminal()
    if graph:
        put()
        nodes = nodes_of_view(view, is_live=status not in NOT_LIVE)
        put(text_graph(nodes, width=width, is_plain=is_plain))
    if timeline:
        put()
        now = tables.recorded_at or Clock().recorded_at()
        is_live = status not in NOT_LIVE
        found = read_timeline(tables.connection, view, now=now, up_to=tables.at, is_live=is_live)
        put(text_timeline(found, width=width, is_plain=is_plain))


def _put_head(tables: JobTables, view: JobView, status: str) -> None:
    job = view.job
    put(f"  spec       {safe(job.spec_file)}")
    if view.models:
        named = ", ".join(map(safe, view.models[:_MODELS_MAX]))
        more = count_text(len(view.models) - _MODELS_MAX, "other")
        put(f"  models     {named}{f' and {more}' * (len(view.models) > _MODELS_MAX)}")
    put(f"  submitted  {ago(job.submitted_at)}, {when(job.submitted_at)}")
    if job.forked_from:
        put(f"  forked     from {job.forked_from}")
    if job.finished_at:
        took = duration_text(job.duration_s)
        put(f"  finished   {ago(job.finished_at)}, {when(job.finished_at)}, after {took}")
    if job.task_description:
        put(paragraph("task      ", job.task_description, indent="  "))
    put(f"  succeeded  {steps_text(job.steps_succeeded, job.steps_total)}")
    put(f"  used       {_used(job)}")
    for label, line in assessment_lines(tables.connection, tables.job_id):
        put(paragraph(f"{label:<10}", line, indent="  "))
    for line in view.all_tolerated.lines():
        put(paragraph("tolerated ", line, indent="  "))
    for line in doubts_of(tables, status).lines():
        put(f"  in doubt   {line}")
    put(f"  folder     {safe(folder_of(tables, view))}")
    if tables.at is None:
        for label, line in note_lines(tables.connection, tables.job_id):
            put(paragraph(f"{label:<10}", line, indent="  "))
    for circuit in open_circuits(tables):
        failures = count_text(circuit.failures, "failure")
        since = f"{safe(circuit.name)} is open since {when(circuit.opened_at)}"
        lead = f"circuit    {since}: {failures} in a row, the last:"
        put(paragraph(lead, circuit.failure or "", indent="  "))
    for batch in view.batches.values():
        if batch.is_open or batch.status != "completed":
            trouble = f"; {batch.trouble or batch.failure}" * bool(batch.trouble or batch.failure)
            where = f"{batch.batch} at {batch.provider}, since {when(batch.submitted_at)}"
            put(paragraph(f"batch      {safe(where)}:", f"{batch.text()}{trouble}", indent="  "))
    if job.failure:
        put(paragraph("failure   ", job.failure, indent="  "))


def _used(job: JobRow) -> str:
    """What the calls to models used."""
    if not job.calls:
        return "no calls to models"
    tokens = (job.input_tokens, job.output_tokens)
    return used_text(job.calls, tokens, job.cost_nano_usd, job.calls_unpriced)


def _put_steps(tables: JobTables, view: JobView, status: str, *, is_all: bool) -> None:
    dropped = dropped_parameters(tables)
    is_live = status not in NOT_LIVE
    rows = [(step.name, step.status, step, step.parent) for step in view.steps]
    shown, hidden = select_steps(under_their_groups(rows), is_all=is_all)
    put()
    scores = scores_of(tables, view)
    has_keys = any(step.hidden_key is not None for _, _, step, _ in shown)
    heads = (
        id_column("STEP"),
        *(text_column("KEY"),) * has_keys,
        status_column(),
        text_column("KIND", drop=3),
        number_column("ATTEMPTS", drop=4),
        number_column("TIME"),
        number_column("TOKENS", drop=2),
        number_column("COST", drop=1),
    )
    cells = []
    for _, _, step, _ in shown:
        name, *row, note = _cells(view, step, dropped.get(step.step_id), is_live=is_live)
        said = means_text(scores.get(step.name, ()))
        # A column only if a step has scores, or a key that is not in its id.
        key, score = (step.item_key,) * has_keys, (said,) * bool(scores)
        cells.append((name, *key, *row, *score, note))
    put_table((*heads, *("SCORES",) * bool(scores), "NOTE"), cells)
    if any(is_cut(row[-1]) for row in cells):
        why = command_line("why", tables.job_id, "STEP")
        put(f"notes that end in ... are cut: {why} has them in full")
    if hidden:
        more = count_text(hidden, "more step")
        put(f"and {more} inside these: {command_line('show', tables.job_id, '--all')}")


def _cells(
    view: JobView, step: StepRow, dropped: str | None, *, is_live: bool
) -> tuple[object, ...]:
    used = view.usage[step.name]
    note = step_note(view, step, is_live=is_live)
    more = f"not sent: {dropped}" if dropped else ""
    return (
        step.name,
        step_status(view, step, is_live=is_live),
        step.kind,
        step.attempts,
        duration_text(step.duration_s),
        tokens_text(used.tokens) if used.calls else "",
        calls_cost_text(used.calls, used.cost_nano_usd, used.calls_unpriced, brief=True),
        "; ".join(filter(None, (note and first_line(note), more))),
    )


def _show_events(job: str, database: Path | None, *, up_to: int | None, as_json: bool) -> int:
    from orc.cli.terminal.event_lines import EventLines

    with read_ledger(database) as ledger:
        job_id = ledger.find_job(job)
        if up_to is not None:
            say_as_of(ledger.connection, job_id, up_to)
        lines = EventLines(ledger, as_json=as_json)
        for recorded in ledger.read_stream(job_id):
            if up_to is not None and recorded.version > up_to:
                break
            lines.put(recorded)
        lines.finish()
    return 0


def _show_step(
    job: str,
    step: str,
    database: Path | None,
    *,
    up_to: int | None,
    only: str | None,
    pager: bool,
    as_json: bool,
) -> int:
    """Print one step with its texts; with `only`, nothing but its prompt, reply or output."""
    from orc.cli.terminal.contents import step_texts
    from orc.cli.terminal.contents.pager import put_paged
    from orc.cli.terminal.contents.step_view import step_text
    from orc.ledger import LedgerReader

    with read_job_at(database, job, up_to) as tables:
        view = read_view(tables.connection, tables.job_id)
        is_live = tables.status(view.job.status) not in NOT_LIVE
        reader = LedgerReader(tables.path, tables.connection)
        seen = step_texts.read_contents(reader, view, step, up_to=up_to, is_live=is_live)
        if only is not None:
            value = step_texts.ALONE[only](seen)
            step_texts.put_value(tables.job_id, step, only, value, as_json=as_json)
        elif as_json:
            dropped = dropped_parameters(tables).get(seen.step.step_id)
            known = step_value(view, seen.step, dropped, None, is_live=is_live)
            inside = [
                step_value(view, child, None, None, is_live=is_live)
                for child in view.children_of.get(step, ())
            ]
            texts = step_texts.step_texts(seen)
            put_json({"job_id": tables.job_id, **known, **texts, "inside": inside})
        else:
            put_paged(step_text(seen), use_pager=pager)
    return 0
