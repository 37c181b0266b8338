"""Records histories: `python -m tests.histories.recorder` writes those that do not exist yet.

It also writes the tables of a new version of the read model.

An existing history is never written again: it is what an older version of orc wrote, and every
later version must be able to read it.
"""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orc.cli.jobs.state import append_command
from orc.ledger.definition import (
    ApprovalDef,
    BudgetDef,
    ForEachDef,
    HookDef,
    JobDef,
    ScoreDef,
    ShippedDef,
)
from orc.ledger.digest import canonical_json, digest_bytes, digest_json
from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    BatchAccepted,
    BatchEnded,
    BatchProgressed,
    BatchSubmitted,
    BlobRemoved,
    BudgetExceeded,
    BudgetRaised,
    CacheHit,
    CallRef,
    ChildShape,
    HookEnded,
    HookStarted,
    JobCancelled,
    JobFailed,
    JobInterrupted,
    JobNoted,
    JobStarted,
    JobSucceeded,
    JobTagged,
    JobWaiting,
    Payload,
    QueuedRun,
    Reserved,
    ScoreRecorded,
    StepExpanded,
    StepSkipped,
    TokenUsage,
    ToleratedCount,
    WorstCase,
)
from orc.ledger.inputs.read_inputs import InputFile, ReadInput, RowsPart
from orc.ledger.packing import pack
from orc.ledger.servers.server_def import PriceDef, ServerDef
from orc.ledger.stored_struct import dump
from orc.projections.tables.schema import create_tables
from orc.projections.tables.version import VERSION
from orc.scheduler.core.commands import RaiseBudget, StartJob
from orc.scheduler.core.fold.evolve import JobState
from tests.builders import (
    EPOCH_S,
    OTHER,
    OWNER,
    amended,
    call_failed,
    closed,
    failed,
    file,
    interrupted,
    job,
    opened,
    placed,
    reattached,
    record,
    requested,
    responded,
    resumed,
    reused,
    started,
    step,
    submitted,
    succeeded,
    tool_called,
    tool_returned,
    unplaced,
    written,
)
from tests.model import Plan, Task, Try
from tests.scheduler.effects.test_embed import Vectorizer, embedding, standing
from tests.scheduler.flows import ASKING, FLOW, decide_here, flow_stand
from tests.scheduler.harness import Crash, Stand, definition_of, empty_stand, stand_for
from tests.scheduler.talks import talking
from tests.scheduler.test_conversations import TALK, hindered
from tests.scheduler.test_reply_cache import asks, shelf
from tests.scheduler.test_resume import SHAPES, cancels, stops_with

SETTINGS = """
project: demo
steps:
  limits: {value: {parallel: 2, words: [Ägypten, "a/b", plain]}}
  each:
    for_each: ${{ steps.limits.output.words }}
    matrix: {n: "${{ steps.limits.output.words | list }}", m: [1]}
    key: ${{ item }} ${{ matrix.n }}
    max_parallel: ${{ steps.limits.output.parallel }}
    value: ${{ each.key }}
"""
"""Settings that follow from another step, and keys that are no names."""

History = Callable[[], AbstractContextManager[Stand]]
"""Opens a test stand whose job has run."""

HALF = 500_000_000
"""Half a US dollar, in nano-dollars."""

FOLDER = Path(__file__).parent
COLUMNS = ("job_id", "version", "type", "step", "attempt", "recorded_at", "data", "hash")


def histories() -> dict[str, History]:
    """The functions that produce the histories, by name."""
    found: dict[str, History] = {name: partial(_run, plan) for name, plan in SHAPES.items()}
    return found | {
        "crash": _crash_and_resume,
        "stops": _stop_and_cancel,
        "tools": _call_tools,
        "cache": _hit_the_cache,
        "flow": partial(_flow, FLOW),
        "approval": partial(_flow, ASKING, decides="approve"),
        "budget": _run_with_small_budget,
        "cancelling": _cancel_with_steps_left,
        "rejection": partial(_flow, ASKING, decides="reject"),
        "amended": _amend,
        "removed": _remove_bytes,
        "doubt": _ask_about_work_in_doubt,
        "batches": _submit_batches,
        "batch_absent": _submit_a_batch_to_no_server,
        "optional": _set_every_optional_field,
        "money": _spend_money,
        "modes": _write_files_with_modes,
        "folders": _leave_empty_folders,
        "queue": _queue,
        "placed": _place_on_workers,
        "repair": _ask_for_corrections,
        "places": _move_the_spec,
        "scores": _score_and_score_again,
        "settings": partial(_flow, SETTINGS),
        "read": _read_a_table,
        "absent": _ask_a_server_that_is_not_there,
        "loading": _wait_for_a_server,
        "uncounted": _get_replies_without_counts,
        "named": _ask_a_named_server,
        "taken": _take_over_items,
        "forked": _fork_items,
        "hooks": _run_hooks,
        "embed": _embed,
        "documents": _read_a_document,
    }


def main() -> None:
    """Record the histories that do not exist yet."""
    for name, history in histories().items():
        path = FOLDER / f"{name}.jsonl"
        if not path.exists():
            path.write_text(record_history(history), "utf-8")
    tables = FOLDER / f"read_model_{VERSION}.sql"
    if not tables.exists():
        tables.write_text(record_tables(), "utf-8")


def record_tables() -> str:
    """The statements that make the tables of the read model."""
    with closing(sqlite3.connect(":memory:")) as connection:
        # The tables of the read model refer to it.
        connection.execute("CREATE TABLE blobs (sha256 TEXT PRIMARY KEY)")
        create_tables(connection)
        rows = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE tbl_name <> 'blobs' AND sql IS NOT NULL"
        )
        return "".join(f"{sql};\n" for (sql,) in rows)


def record_history(history: History) -> str:
    """A line of JSON for each event with its stored columns, then one with the state's summary."""
    with history() as stand:
        with sqlite3.connect(stand.database) as connection:
            rows = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM events WHERE job_id = ? ORDER BY version",
                (stand.job_id,),
            ).fetchall()
        summary = plain_summary(stand.state())
    lines = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    return "\n".join([*lines, json.dumps({"summary": summary})]) + "\n"


def _plain(value: Any) -> Any:
    """The fields of a value. The summaries were recorded before payloads had parts."""
    absent = {name for name in ("parts", "keys") if getattr(value, name, True) is None}
    return {name: item for name, item in dump(value).items() if name not in absent}


def plain_summary(state: JobState) -> Any:
    """The summary of the state as a JSON value."""
    return json.loads(json.dumps(state.summary(), default=_plain))


@contextmanager
def _run(plan: Plan) -> Iterator[Stand]:
    with stand_for(plan) as stand:
        stand.run()
        yield stand


@contextmanager
def _crash_and_resume() -> Iterator[Stand]:
    with stand_for(SHAPES["diamond"]) as stand:
        try:
            stand.run(commits=6)
        except Crash:
            stand.run()
        yield stand


@contextmanager
def _stop_and_cancel() -> Iterator[Stand]:
    with stand_for(Plan((Task("a", tries=(Try(5.0),)), Task("b", ("a",))))) as stand:
        stand.run(beside=stops_with(signal.SIGTERM, after_s=1.0))
        stand.run(beside=cancels(after_s=1.0))
        stand.run()
        yield stand


@contextmanager
def _call_tools() -> Iterator[Stand]:
    with talking(hindered(), TALK) as (stand, _):
        stand.submit()
        stand.run()
        yield stand


@contextmanager
def _embed() -> Iterator[Stand]:
    """A step computes vectors by several calls, dies between them, and goes on."""
    with standing(embedding(), Vectorizer()) as stand:
        try:
            stand.run(commits=5)
        except Crash:
            stand.run()
        yield stand


@contextmanager
def _hit_the_cache() -> Iterator[Stand]:
    with shelf() as found:
        found.run(asks("first"))
        yield found.run(asks("second"), asks("third", prompt="Is it not?"))


@contextmanager
def _run_with_small_budget() -> Iterator[Stand]:
    plan = Plan((Task("a"), Task("b")), total=1)
    limit = BudgetDef(max_calls=1)
    with stand_for(plan, replace(definition_of(plan), budget=limit)) as stand:
        stand.run()
        with stand.open() as ledger:
            command = RaiseBudget("", max_calls=2)
            append_command(ledger, stand.job_id, stand.state(), command, blobs=[])
        stand.run()
        yield stand


@contextmanager
def _amend() -> Iterator[Stand]:
    """Reuses a result of another job, runs one step alone, and continues with an amended spec."""
    with stand_for(Plan((Task("a"), Task("b", ("a",)), Task("c", ("b",)), Task("d")))) as stand:
        stand.append(reused("a", output="from elsewhere"))
        stand.run(opening=StartJob(OWNER, only=("b",)))
        stand.run()
        steps = [step for step in stand.definition.steps if step.id != "d"]
        definition = replace(stand.definition, steps=tuple(steps))
        stand.append(amended(definition, "c", removed=("d",), fresh=("c",)))
        stand.run()
        yield stand


@contextmanager
def _remove_bytes() -> Iterator[Stand]:
    with stand_for(Plan((Task("a"), Task("b", ("a",))))) as stand:
        stand.run()
        digests = (digest_bytes(b"a reply"), digest_bytes(b"a log"))
        stand.append(BlobRemoved(digests=digests, size_bytes=12, cause="prune", reason="old"))
        yield stand


@contextmanager
def _ask_about_work_in_doubt() -> Iterator[Stand]:
    """A call and a command are interrupted; both steps ask a person, and one of them runs again."""
    ask, pay = (
        step("ask", prompt="?", on_unknown="ask"),
        step("pay", kind="run", run="true", on_unknown="ask"),
    )
    with stand_for(Plan(()), job(ask, pay), models={}) as stand:
        stand.append(
            JobStarted(owner=OWNER),
            *(started("ask"), started("pay")),
            requested(
                "ask", worst_case=WorstCase(input_tokens=9, output_tokens=5, cost_nano_usd=10**8)
            ),
            resumed(),
            *(interrupted("ask", reason="crash"), interrupted("pay", reason="crash")),
            *(_question("ask"), _question("pay")),
            ApprovalDecided(step="ask", attempt=1, option="approve", by="me"),
            started("ask", 2),
            requested("ask", 2, worst_case=WorstCase(input_tokens=9)),
            call_failed("ask", 2, kind="connection", unsent=True),
            failed("ask", 2, kind="connection"),
        )
        yield stand


@contextmanager
def _ask_a_server_that_is_not_there() -> Iterator[Stand]:
    """The first server was never started; the second one answered and is then gone."""
    away = step("away", provider="fake", model="m")
    back = step("back", provider="fake", model="other")
    with stand_for(Plan(()), job(away, back), models={}) as stand:
        gone: dict[str, Any] = {"kind": "connection", "unsent": True, "absent": True}
        stand.append(
            JobStarted(owner=OWNER),
            *(started("away"), started("back")),
            *(requested("away"), requested("back", model="other")),
            *(call_failed("away", **gone), failed("away", kind="connection")),
            responded("back"),
            requested("back", call=2, model="other"),
            call_failed("back", call=2, model="other", **gone),
            failed("back", kind="connection", retry_at=EPOCH_S + 1.0, delay_s=1.0),
            started("back", 2),
        )
        yield stand


@contextmanager
def _wait_for_a_server() -> Iterator[Stand]:
    """The server loads its model; the step waits, and is answered."""
    waiting = step("ask", provider="fake", model="m", wait_for_server_s=60.0)
    with stand_for(Plan(()), job(waiting), models={}) as stand:
        loading: dict[str, Any] = {"kind": "server_error", "not_ready": True}
        stand.append(
            JobStarted(owner=OWNER),
            *(started("ask"), requested("ask"), call_failed("ask", **loading)),
            opened(retry_at=1.0, failures=1, cooldown_s=1.0, waits_since=EPOCH_S),
            interrupted("ask", reason="server"),
            *(started("ask", 2), requested("ask", 2), responded("ask", 2), closed()),
        )
        yield stand


@contextmanager
def _get_replies_without_counts() -> Iterator[Stand]:
    """A reply without counts and with a cost of the server's own, and one that broke off."""
    with stand_for(Plan(()), job(*(step(name, prompt="?") for name in "ab"))) as stand:
        uncounted = {"usage": None, "charged_tokens": 40, "reported_nano_usd": 7}
        partly: dict[str, Any] = {
            "partial": True,
            "usage": TokenUsage(input_tokens=3, output_tokens=1),
        }
        stand.append(
            JobStarted(owner=OWNER),
            *(started("a"), requested("a")),
            replace(responded("a"), **uncounted),
            *(started("b"), requested("b")),
            call_failed("b", kind="server_error", **partly),
            failed("b", kind="server_error"),
        )
        yield stand


@contextmanager
def _read_a_document() -> Iterator[Stand]:
    """A call with a document beside it, whose prompt went to the provider's cache."""
    ask = replace(step("ask", prompt="?"), cache_prompt=True)
    with stand_for(Plan(()), job(ask), models={}) as stand:
        used = TokenUsage(input_tokens=9, output_tokens=1, cache_write_tokens=7)
        stand.append(
            JobStarted(owner=OWNER),
            *(started("ask"), requested("ask", attached_bytes=12)),
            replace(responded("ask"), usage=used),
            succeeded("ask"),
        )
        yield stand


@contextmanager
def _ask_a_named_server() -> Iterator[Stand]:
    """Calls to a server with a price of its own: a reply, a failure, and a hit in the cache."""
    ask = step("ask", provider="office", model="m")
    price = PriceDef(input=1.0, output=2.0, cached_input=0.5)
    server = ServerDef(api="openai", base_url="http://office.example/v1", prices={"m": price})
    definition = replace(job(ask), servers={"office": server})
    with stand_for(Plan(()), definition, models={}) as stand:
        of_server: dict[str, Any] = {"provider": "office", "price": price}
        reply = responded("ask")
        stand.append(
            JobStarted(owner=OWNER),
            *(started("ask"), requested("ask", provider="office")),
            call_failed("ask", **of_server),
            failed("ask", kind="timeout", retry_at=EPOCH_S + 1.0, delay_s=1.0),
            *(started("ask", 2), requested("ask", 2, provider="office")),
            replace(reply, **of_server, attempt=2),
            CacheHit(
                step="ask", attempt=2, call=2, request_sha256=reply.request_sha256, version=8,
                price=price,
            ),
        )  # fmt: skip
        yield stand


@contextmanager
def _submit_a_batch_to_no_server() -> Iterator[Stand]:
    """The server of the batch was never started on this machine."""
    with stand_for(Plan(()), job(step("ask", batch=True)), models={}) as stand:
        gone: dict[str, Any] = {"kind": "connection", "absent": True}
        stand.append(
            JobStarted(owner=OWNER),
            started("ask"),
            BatchSubmitted(
                batch=1, name="j-1", provider="fake", model="m", requests=1, size_bytes=300
            ),
            requested("ask", batch=1, custom_id="j-1-0"),
            BatchEnded(batch=1, outcome="refused", message="no server was running", **gone),
            call_failed("ask", unsent=True, batch=1, **gone),
            failed("ask", kind="connection"),
        )
        yield stand


@contextmanager
def _submit_batches() -> Iterator[Stand]:
    """A batch with a reply and a failure, left and found again; one that was refused; one lost."""
    each = step("each", for_each=ForEachDef(items=["x", "y"]), batch=True)
    with stand_for(Plan(()), job(each), models={}) as stand:
        names = ("each[0]", "each[1]")
        submit = BatchSubmitted(
            batch=1, name="j-1", provider="fake", model="m", endpoint="http://b.example/v1",
            requests=2, size_bytes=300,
        )  # fmt: skip

        def batched(number: int, *, attempt: int, of: tuple[str, ...]) -> list[Any]:
            event = replace(submit, batch=number, name=f"j-{number}")
            asked = (
                requested(name, attempt, attempt, batch=number, custom_id=f"j-{number}-{name[5]}")
                for name in of
            )
            return [replace(event, requests=len(of)), *asked]

        stand.append(
            JobStarted(owner=OWNER),
            started("each", kind="for_each"),
            StepExpanded(
                step="each", attempt=1, children=names, first=0, total=2,
                values=Payload(value=["x", "y"]), shapes=(ChildShape(kind="prompt"),),
            ),
            *map(started, names),
            *batched(1, attempt=1, of=names),
            JobWaiting(reason="batch", steps=names),
            resumed(),
            BatchAccepted(batch=1, server_id="batch_1", found=True),
            BatchProgressed(batch=1, answered=1, failed=0),
            BatchProgressed(batch=1, answered=1, failed=0, trouble="no answer"),
            BatchEnded(batch=1, outcome="expired", answered=1, failed=1),
            replace(responded("each[0]"), batch=1),
            succeeded("each[0]"),
            call_failed("each[1]", unsent=True, batch=1),
            failed("each[1]", kind="timeout", retry_at=EPOCH_S + 1.0, delay_s=1.0),
            started("each[1]", 2),
            *batched(2, attempt=2, of=names[1:]),
            BatchEnded(
                batch=2, outcome="refused", kind="rate_limit", message="later", retry_after_s=2.0
            ),
            call_failed("each[1]", 2, 2, kind="rate_limit", unsent=True, batch=2),
            failed("each[1]", 2, kind="rate_limit", retry_at=EPOCH_S + 3.0, delay_s=2.0),
            started("each[1]", 3),
            *batched(3, attempt=3, of=names[1:]),
            BatchEnded(batch=3, outcome="lost", kind="connection", message="it is not there"),
            interrupted("each[1]", 3, reason="batch"),
            started("each[1]", 4),
            *batched(4, attempt=4, of=names[1:]),
            BatchAccepted(batch=4, server_id="batch_4"),
            BatchProgressed(batch=4, answered=0, failed=0, trouble="the key is wrong"),
            JobInterrupted(signal="SIGINT"),
        )  # fmt: skip
        yield stand


def _question(step_id: str, **fields: Any) -> ApprovalRequested:
    options = ("approve", "reject")
    return ApprovalRequested(step=step_id, attempt=1, message="again?", options=options, **fields)


@contextmanager
def _leave_empty_folders() -> Iterator[Stand]:
    """Empty folders and warnings, of an attempt and of a reused result."""
    definition = job(step("old"), step("work", kind="run", run="true"))
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            first = submitted(definition, runs_dir=str(stand.folder))
            ledger.append(record([first], job_id=stand.job_id), blobs=[b"x"])
        left = {"folders": ("demo/old/a", "demo/old/b"), "warning": "no file matches '*.log'"}
        stand.append(
            JobStarted(owner=OWNER),
            replace(reused("old", file("demo/old/tool")), **left),
            started("work"),
            replace(succeeded("work"), folders=("demo/empty/in",)),
        )
        yield stand


@contextmanager
def _write_files_with_modes() -> Iterator[Stand]:
    """Files that are not ordinary ones: in outputs, among artifacts, and of a reused result."""
    definition = job(step("old"), step("work", kind="run", run="true"))
    tool = replace(file("demo/old/tool"), mode="755")
    left = (replace(file("report"), mode="640"), file("plain"))
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            first = submitted(definition, runs_dir=str(stand.folder))
            ledger.append(record([first], job_id=stand.job_id), blobs=[b"x"])
        stand.append(
            JobStarted(owner=OWNER),
            reused("old", tool),
            started("work"),
            written("work", "demo/tool", mode="755"),
            written("work", "demo/plain"),
            failed("work", artifacts=left),
            JobInterrupted(signal="SIGTERM"),
            resumed(),
            started("work", attempt=2),
            written("work", "demo/tool", attempt=2, mode="500"),
            succeeded("work", attempt=2, artifacts=left),
        )
        yield stand


@contextmanager
def _place_on_workers() -> Iterator[Stand]:
    """Attempts that wait for workers, lose them, outlive their job's owner, and end there."""
    there: dict[str, Any] = {"kind": "run", "executor": "cluster"}
    needs: dict[str, Any] = {
        "resources": {"cpu": (4.0,), "memory": (1e9, 2e9)},
        "labels": ("fast",),
    }
    fields: dict[str, Any] = {"kind": "run", "run": "true", "executor": "cluster"}
    definition = job(
        step("done", **fields, **needs),
        step("broken", **fields, queue_timeout_s=60.0),
        step("lost", **fields),
        step("late", **fields, queue_timeout_s=60.0),
        step("here", kind="run", run="true"),
        lanes={"cluster": 8},
    )
    ship = ShippedDef(path="run.py", sha256=digest_bytes(b"x"), size_bytes=1, mode="755")
    definition = replace(definition, ship=(ship,))
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            first = submitted(definition, runs_dir=str(stand.folder))
            ledger.append(record([first], job_id=stand.job_id), blobs=[b"x"])
        stand.append(
            JobStarted(owner=OWNER),
            *(started(name, **there) for name in ("done", "broken", "lost", "late")),
            started("here", kind="run"),
            *(placed("done"), placed("broken"), placed("lost", run="run2", worker="w2")),
            unplaced("broken"),
            interrupted("here", reason="signal"),
            JobInterrupted(signal="SIGTERM"),
            resumed(),
            reattached("done"),
            placed("broken", run="run3"),
            succeeded("done", executor="cluster", queued_s=1.5),
            failed("broken", executor="cluster", queued_s=2.5),
            interrupted("lost", reason="worker"),
            failed("late", message="no worker took it", executor="cluster"),
            started("lost", 2, **there),
        )
        yield stand


@contextmanager
def _set_every_optional_field() -> Iterator[Stand]:
    """Sets the optional fields that no run above sets. The events are written by hand."""
    value = Payload(value="a value")
    log: dict[str, Any] = {"log": Payload(value="a log")}
    made: dict[str, Any] = {**log, "artifacts": (file("demo/report"),)}
    used: dict[str, Any] = {"usage": TokenUsage(input_tokens=1), "charged_nano_usd": HALF // 2}
    money = BudgetDef(max_cost_usd=1.0, max_tokens=1000, max_calls=10)
    approval = ApprovalDef(message="Go on?")
    definition = job(
        step("ask", prompt="?", budget=money),
        step("work", kind="run", run="true"),
        step("more", kind="run", run="true"),
        step("gate", kind="approval", approval=approval),
        step("old"),
    )
    limits = {"max_cost_nano_usd": 4 * HALF, "max_tokens": 2000, "signal_id": 1}
    with empty_stand(Plan(()), definition, models={}) as stand:
        origin = {"replies": value, "replay_of": OTHER, "forked_from": OTHER}
        with stand.open() as ledger:
            first = submitted(definition, runs_dir=str(stand.folder), **origin)
            ledger.append(record([first], job_id=stand.job_id))
        stand.append(
            JobStarted(owner=OWNER),
            reused("old", **made),
            started("ask", deadline_at=EPOCH_S + 9.0, cache_key=digest_json("key")),
            requested(
                "ask",
                dropped=("seed",),
                endpoint="http://here",
                identity="sha",
                changed=("model",),
                reserved=Reserved(tokens=3, cost_nano_usd=HALF),
                worst_case=WorstCase(input_tokens=1, output_tokens=2, cost_nano_usd=HALF),
            ),
            call_failed("ask", kind="protocol", retry_after_s=1.0, unsent=True, **used),
            requested("ask", call=2),
            replace(
                responded("ask", call=2),
                request_id="r",
                charged_nano_usd=HALF // 2,
                finish_reason="tool_calls",
            ),
            tool_called("ask", call=2),
            replace(tool_returned("ask", call=2), is_error=True),
            BudgetExceeded(
                step="ask",
                attempt=1,
                account="ask",
                limit="max_cost_usd",
                maximum=2 * HALF,
                spent=HALF,
                needed=HALF + 1,
                duration_s=1.0,
            ),
            BudgetRaised(account="ask", **limits),
            started("work"),
            interrupted("work", duration_s=1.0, **log),
            started("work", 2),
            written("work", "demo/a.txt", attempt=2, reason="nochange"),
            succeeded("work", 2, warning="nearly", **made),
            started("more"),
            failed("more", kind="exit_code", exit_code=3, signal="SIGTERM", **made),
            started("gate", kind="approval"),
            _question("gate", timeout_s=5.0, expires_at=EPOCH_S + 5.0, on_timeout="reject"),
            ApprovalDecided(
                step="gate", attempt=1, option="approve", comment="fine", by="me", signal_id=2
            ),
            succeeded("gate"),
            JobInterrupted(signal="SIGTERM"),
            amended(definition, "work", replies=value, signal_id=3, kept=("more",)),
            resumed(
                replies=value,
                provider="replay",
                timeout_s=9.0,
                signal_id=4,
                kept=("more",),
                only=("work",),
            ),
        )
        yield stand


@contextmanager
def _ask_for_corrections() -> Iterator[Stand]:
    """Asks for corrected replies: of the model, and of the cache of replies."""
    definition = job(step("ask", prompt="?"), step("again", prompt="?"), step("old"))
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            first = submitted(definition, runs_dir=str(stand.folder))
            ledger.append(record([first], job_id=stand.job_id))
        wrong = "the reply is not JSON"
        count = ToleratedCount(setting="continue_on_error", kind="exit_code", failures=2)
        hit = CacheHit(
            step="again",
            attempt=1,
            call=1,
            request_sha256=digest_json("again"),
            version=4,
            paid_by=CallRef(job_id=OTHER, step="ask", attempt=1, call=1),
            reply=Payload(value={"text": "{}"}),
            finish_reason="stop",
            corrects=wrong,
        )
        stand.append(
            JobStarted(owner=OWNER),
            started("ask"),
            requested("ask"),
            responded("ask"),
            requested("ask", call=2, corrects=wrong),
            responded("ask", call=2),
            succeeded("ask"),
            started("again"),
            hit,
            succeeded("again", warning="nearly"),
            reused("old", warning="nearly", tolerated=(count,)),
        )
        yield stand


@contextmanager
def _spend_money() -> Iterator[Stand]:
    """Two calls are charged, a third is cut short, a fourth does not fit, and the budget is raised."""
    money = BudgetDef(max_cost_usd=1.0)
    most: dict[str, Any] = {
        "reserved": Reserved(tokens=9, cost_nano_usd=HALF),
        "worst_case": WorstCase(input_tokens=9, output_tokens=5, cost_nano_usd=HALF),
    }
    used: dict[str, Any] = {"usage": TokenUsage(input_tokens=1)}
    with stand_for(Plan(()), job(step("ask", prompt="?", budget=money)), models={}) as stand:
        stand.append(
            JobStarted(owner=OWNER),
            started("ask"),
            requested("ask", **most),
            call_failed("ask", kind="server_error", charged_nano_usd=1, **used),
            requested("ask", call=2, **most),
            replace(responded("ask", call=2), charged_nano_usd=100_000_001),
            requested("ask", call=3, **most),
            resumed(),
            interrupted("ask", reason="crash"),
            started("ask", 2),
            BudgetExceeded(
                step="ask",
                attempt=2,
                account="ask",
                limit="max_cost_usd",
                maximum=2 * HALF,
                spent=HALF + 100_000_002,
                needed=HALF,
            ),
            BudgetRaised(account="ask", max_cost_nano_usd=4 * HALF),
        )
        yield stand


@contextmanager
def _move_the_spec() -> Iterator[Stand]:
    """A job with places relative to its ledger, whose spec is moved; its steps are in two folders."""
    work = step("work", kind="run", run="./work.sh", cwd="spec", folder="lib")
    definition = replace(job(step("first"), work), output_dir="made")
    places = {"spec_dir": "specs", "submit_dir": ".", "runs_dir": "runs", "ledger_dir": "/work"}
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            ledger.append(record([submitted(definition, **places)], job_id=stand.job_id))
        moved = replace(amended(definition), spec_dir="../specs")
        stand.append(JobStarted(owner=OWNER), started("first"), moved)
        yield stand


@contextmanager
def _score_and_score_again() -> Iterator[Stand]:
    """Items with scores of all sources; other expressions score again; tags and notes after the end."""
    each = step("each", prompt="?", for_each=ForEachDef(items=[None], name="it", repeat=2))
    long, blob = pack("it is near " * 100)
    assert blob is not None
    exact = ScoreDef(value="${{ output == 1 }}")
    definition = job(replace(each, score={"exact": exact}), tags=("nightly",))
    close = ScoreDef(value="${{ output }}", why="near")
    other = replace(definition, steps=(replace(each, score={"close": close}),))
    own: dict[str, Any] = {"who": "expression", "name": "exact"}
    items = ("each[0]", "each[1]")
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            first = submitted(definition, runs_dir=str(stand.folder))
            ledger.append(record([first], job_id=stand.job_id), blobs=[blob])
        stand.append(
            JobStarted(owner=OWNER),
            started("each", kind="for_each"),
            StepExpanded(
                step="each",
                attempt=1,
                children=items,
                first=0,
                total=2,
                values=Payload(value=[None, None]),
                shapes=(ChildShape(kind="prompt", provider="fake", model="m"),),
                variable="it",
                repeat=2,
            ),
            *(started(item) for item in items),
            *(succeeded(item, output=1) for item in items),
            ScoreRecorded(step="each[0]", attempt=1, value=True, by_step="each[0]", **own),
            ScoreRecorded(step="each[1]", attempt=1, error="broken", by_step="each[1]", **own),
            succeeded("each", output=[1, 1]),
            JobSucceeded(),
            amended(other, rescored=("each",)),
            resumed(),
            ScoreRecorded(step="each[0]", attempt=1, value=False, by_step="each[0]", **own),
            ScoreRecorded(step="each[1]", attempt=1, error="broken", by_step="each[1]", **own),
            ScoreRecorded(
                step="each[0]",
                attempt=1,
                name="close",
                value=0.5,
                why=long,
                who="judge",
                by_step="each[1]",
            ),
            JobInterrupted(signal="SIGTERM"),
            ScoreRecorded(
                step="each[1]",
                attempt=1,
                name="taste",
                value=3.0,
                why=Payload(value="good"),
                who="human",
                by="me",
                signal_id=5,
            ),
            JobTagged(added=("good",), removed=("nightly",), by="me", signal_id=6),
            JobNoted(text=Payload(value="look at this"), by="me", signal_id=7),
            JobNoted(text=long, by="me", signal_id=8),
        )
        yield stand


@contextmanager
def _read_a_table() -> Iterator[Stand]:
    """The items of a table, of which one did not change when the table was read again."""
    rows = step("rows", for_each=ForEachDef(items="${{ inputs.t }}"), value="${{ item.a }}")
    before, after = [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}]

    def definition(values: list[Any]) -> JobDef:
        content = canonical_json(values).encode()
        digest, size = digest_bytes(content), len(content)
        file = InputFile(path="t.json", sha256=digest, size_bytes=size, media_type="text/json")
        part = RowsPart(sha256=digest, size_bytes=size, rows=len(values))
        read = ReadInput(
            type="table", source="t.json", default=True, files=(file,), parts=(part,),
            columns=("a",), read_as="JSON, UTF-8",
        )  # fmt: skip
        return job(rows, read={"t": read})

    def expanded(values: list[Any], attempt: int) -> StepExpanded:
        return StepExpanded(
            step="rows", attempt=attempt, children=("rows[0]", "rows[1]"), first=0, total=2,
            values=Payload(value=values), shapes=(ChildShape(kind="value"),),
        )  # fmt: skip

    first = definition(before)
    with empty_stand(Plan(()), first, models={}) as stand:
        with stand.open() as ledger:
            blobs = [canonical_json(values).encode() for values in (before, after)]
            ledger.append(record([submitted(first)], job_id=stand.job_id), blobs=blobs)
        stand.append(
            JobStarted(owner=OWNER),
            started("rows"),
            expanded(before, 1),
            started("rows[0]"),
            started("rows[1]"),
            succeeded("rows[0]", output=1),
            succeeded("rows[1]", output=2),
            succeeded("rows", output=[1, 2]),
            JobSucceeded(),
            amended(definition(after), "rows", kept_items=("rows",)),
            resumed(),
            started("rows", 2),
            expanded(after, 2),
            reused("rows[0]", output=1, reason="amend", from_job=stand.job_id, version=7),
            started("rows[1]", 2),
            succeeded("rows[1]", 2, output=3),
            succeeded("rows", 2, output=[1, 3]),
            JobSucceeded(),
        )
        yield stand


@contextmanager
def _take_over_items() -> Iterator[Stand]:
    """A fork with a fan-out of another job: a result, a tolerated failure and a skipped item."""
    each = step("each", for_each=ForEachDef(items="${{ [1, 2, 3] }}"), continue_on_error=True)
    definition = job(each, step("end", needs=("each",), value="${{ steps.each.items }}"))
    failure = failed("each[1]", attempt=0, tolerated=True)
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            ledger.append(record([submitted(definition, forked_from=OTHER)], job_id=stand.job_id))
        stand.append(
            StepExpanded(
                step="each", attempt=0, children=("each[0]", "each[1]", "each[2]"), first=0,
                total=3, values=Payload(value=[1, 2, 3]), shapes=(ChildShape(kind="run"),),
            ),
            reused("each[0]", output="one"),
            failure,
            StepSkipped(step="each[2]", reason="condition", because=()),
            reused("each", output=["one", None, None]),
            JobStarted(owner=OWNER),
            started("end"),
            succeeded("end", output="said"),
            JobSucceeded(),
        )  # fmt: skip
        yield stand


@contextmanager
def _fork_items() -> Iterator[Stand]:
    """A fork that runs a fan-out again, in which one item has the work of the job that was forked."""
    rows = step("rows", for_each=ForEachDef(items="${{ [1, 2] }}"), value="${{ item }}")
    definition = job(rows)
    first = submitted(definition, forked_from=OTHER, forked_at=9, kept_items=("rows",))
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            ledger.append(record([first], job_id=stand.job_id))
        stand.append(
            JobStarted(owner=OWNER),
            started("rows"),
            StepExpanded(
                step="rows", attempt=1, children=("rows[0]", "rows[1]"), first=0, total=2,
                values=Payload(value=[1, 2]), shapes=(ChildShape(kind="value"),),
            ),
            reused("rows[0]", output=1),
            started("rows[1]"),
            succeeded("rows[1]", output=2),
            succeeded("rows", output=[1, 2]),
            JobSucceeded(),
        )  # fmt: skip
        yield stand


@contextmanager
def _queue() -> Iterator[Stand]:
    """A worker stops, two die, a person answers, and three more die: the job leaves the queue."""
    definition = job(step("work", kind="run", run="true"), step("gate", kind="approval"))
    with empty_stand(Plan(()), definition, models={}) as stand:
        with stand.open() as ledger:
            how = QueuedRun(only=("work", "gate"), force=True)
            first = submitted(definition, runs_dir=str(stand.folder), queued=how)
            ledger.append(record([first], job_id=stand.job_id))
        taken, crash = resumed(from_queue=True), interrupted("work", reason="crash")
        stand.append(
            JobStarted(owner=OWNER, from_queue=True),
            started("gate", kind="approval"),
            _question("gate"),
            JobInterrupted(signal="SIGTERM", queue="back"),
            taken,
            started("work"),
            *(taken, crash, started("work", 2)),
            ApprovalDecided(step="gate", attempt=1, option="approve", by="me"),
            *(taken, interrupted("work", 2, reason="crash"), started("work", 3)),
            *(taken, interrupted("work", 3, reason="crash"), started("work", 4)),
            *(taken, interrupted("work", 4, reason="crash"), started("work", 5)),
            interrupted("work", 5, reason="crash"),
            JobInterrupted(queue="left", crashes=3),
        )
        yield stand


@contextmanager
def _run_hooks() -> Iterator[Stand]:
    """Hooks with every outcome; the process of the first one died."""
    hooks = {
        "failed": HookDef(run=("notify", "x"), env={"A": "b"}, secrets=("KEY",), timeout_s=5.0),
        "succeeded": HookDef(run="true", folder="sub"),
        "waiting": HookDef(run="true"),
        "cancelled": HookDef(run="true"),
    }
    definition = replace(job(step("work", kind="run", run="work")), hooks=hooks)
    log = Payload(value="told")
    lost = HookEnded(hook="failed", occasion=5, outcome="unknown", message="its process died")
    with empty_stand(Plan(()), definition, models={}) as stand:
        stand.submit()
        stand.append(
            JobStarted(owner=OWNER),
            started("work"),
            failed("work"),
            JobFailed(failures=(), failures_total=1),
            HookStarted(hook="failed", occasion=5),
            *(resumed(), lost),
            started("work", 2),
            succeeded("work", 2),
            JobSucceeded(),
            HookStarted(hook="succeeded", occasion=11),
            HookEnded(
                hook="succeeded",
                occasion=11,
                outcome="exited",
                exit_code=3,
                duration_s=0.5,
                log=log,
            ),
            JobWaiting(reason="approval", steps=()),
            HookStarted(hook="waiting", occasion=14),
            HookEnded(
                hook="waiting", occasion=14, outcome="exited", signal="SIGKILL", duration_s=0.5
            ),
            JobCancelled(),
            HookStarted(hook="cancelled", occasion=17),
        )
        yield stand


@contextmanager
def _cancel_with_steps_left() -> Iterator[Stand]:
    text = "project: demo\nsteps: {a: {run: 'sleep 30'}, b: {needs: a, if: always(), value: 1}}\n"
    with flow_stand(text) as stand:
        stand.run(beside=cancels(after_s=1.0))
        yield stand


@contextmanager
def _flow(text: str, *, decides: str = "") -> Iterator[Stand]:
    with flow_stand(text) as stand:
        stand.run()
        if decides:
            decide_here(stand, "gate", decides)
            stand.run()
        yield stand


if __name__ == "__main__":
    main()
