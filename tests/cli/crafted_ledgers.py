"""Ledgers as a hostile person makes them: a ledger of orc, changed with SQLite, whose hashes match."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from orc.ledger.digest import chain_hash

SPEC = """\
project: crafted
provider: replay
output_dir: delivered
steps:
  talker: {prompt: say it, files: [{path: said.md}]}
  sheller: {run: "echo out > made.txt; echo log", files: [made.txt]}
  broken: {run: "exit 3", continue_on_error: true}
  each: {for_each: [1, 2], value: "${{ item }}"}
  asker: {approval: {message: may I}, needs: [sheller]}
  after: {value: "${{ steps.asker.output.decision }}"}
"""
REPLIES = {"talker": [{"text": "hello"}]}

_COLUMNS = ("job_id", "version", "type", "step", "attempt", "recorded_at", "data")
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT {} FROM n"
Change = Callable[[sqlite3.Connection], object]


def craft(database: Path, change: Change) -> None:
    """Change the file without its triggers, which are there again afterwards if they can be."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        change(connection)
        connection.execute("PRAGMA writable_schema = RESET")
        for name, sql in triggers:
            try:
                connection.execute(sql)
            except sqlite3.Error:
                # What it is for is no table any more.
                assert "events" in sql or "blobs" in sql or "signals" in sql, name


def sql(*statements: str) -> Change:
    """Statements of SQL."""

    def change(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    return change


def schema(table: str, old: str, new: str) -> Change:
    """A changed declaration of a table."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?", (old, new, table)
        )

    return change


def events(edit: Callable[[dict[str, Any]], object], *, loose: bool = False) -> Change:
    """Each event edited, with a chain of hashes that matches. With `loose`, of any type of value."""

    def change(connection: sqlite3.Connection) -> None:
        if loose:
            schema("events", "STRICT", "")(connection)
            connection.execute("PRAGMA writable_schema = RESET")
        rows = connection.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM events ORDER BY position"
        ).fetchall()
        connection.execute("DELETE FROM events")
        heads: dict[Any, str] = {}
        for row in rows:
            fields = dict(zip(_COLUMNS, row, strict=True))
            if edit(fields) is False:
                continue
            values = tuple(fields.values())
            hashed = tuple(
                value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
                for value in values
            )
            heads[values[0]] = chain_hash(heads.get(values[0], ""), hashed)
            connection.execute(
                f"INSERT INTO events ({', '.join(_COLUMNS)}, hash) VALUES (?, ?, ?, ?, ?, ?, "
                f"{'CAST(? AS TEXT)' if not loose else '?'}, ?)",
                (*values[:6], hashed[6] if not loose else values[6], heads[values[0]]),
            )
        if loose:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(
                "UPDATE sqlite_schema SET sql = sql || ' STRICT' WHERE name = 'events'"
            )

    return change


def data(kind: str, text: str) -> Change:
    """The data of each event of a type replaced by a text."""

    def edit(fields: dict[str, Any]) -> None:
        if fields["type"] == kind:
            fields["data"] = text

    return events(edit)


def field(kind: str, **values: str) -> Change:
    """Fields of each event of a type replaced; the values are JSON texts."""

    def edit(fields: dict[str, Any]) -> None:
        if fields["type"] == kind:
            marked = json.loads(fields["data"])
            marked |= {name: f"<{name}>" for name in values}
            text = json.dumps(marked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            for name, value in values.items():
                text = text.replace(f'"<{name}>"', value)
            fields["data"] = text

    return events(edit)


def column(kind: str, *, loose: bool = False, **values: Any) -> Change:
    """Columns of each event of a type replaced."""
    return events(lambda fields: fields["type"] == kind and fields.update(values), loose=loose)


def renamed(job_id: str, *, everywhere: bool = True) -> Change:
    """Another id for the job, in all tables."""

    def change(connection: sqlite3.Connection) -> None:
        events(lambda fields: fields.update(job_id=job_id))(connection)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
        for table in ("jobs", "steps", "attempts", "llm_calls", "files", "signals"):
            if everywhere and table in names:
                connection.execute(f"UPDATE {table} SET job_id = ?", (job_id,))

    return change


def view(table: str, columns: str) -> Change:
    """A view without end in place of a table."""
    return sql(f"ALTER TABLE {table} RENAME TO hidden", f"CREATE VIEW {table} AS {columns}")


_MANY = "9" * 5000
_DEEP = "[" * 100_000 + "]" * 100_000
_EVENT = (
    "1 AS position, 'job_aaaaaaaaaaaa' AS job_id, x AS version, 'job.started' AS type, NULL AS step, "
    "NULL AS attempt, '2026-01-01T00:00:00.000000Z' AS recorded_at, '{}' AS data, 'h' AS hash"
)
_SIGNAL = "x AS id, 'j' AS job_id, 'cancel' AS kind, '{}' AS data, '' AS created_at"
_BLOB = "'a' AS sha256, 1 AS size_bytes, x AS content"
_SEND = "INSERT INTO signals (job_id, kind, data, created_at) SELECT job_id, "
_OUTPUT = '{"value":%s}'

CRAFTED: dict[str, Change] = {
    "nothing changed": sql(),
    "events are a view": view("events", ENDLESS.format(_EVENT)),
    "blobs are a view": view("blobs", ENDLESS.format(_BLOB)),
    "signals are a view": view("signals", ENDLESS.format(_SIGNAL)),
    "orc_meta is a view": view("orc_meta", ENDLESS.format("'read_model' AS key, x AS value")),
    "jobs are a view": view("jobs", ENDLESS.format("x AS job_id, 'running' AS status")),
    "steps are a view": view("steps", ENDLESS.format("x AS step_id")),
    "a foreign trigger": sql("CREATE TRIGGER other AFTER INSERT ON signals BEGIN DELETE FROM jobs; END"),
    "a foreign index": sql("CREATE INDEX other ON events (hex(data))"),
    "events are not strict": schema("events", "STRICT", ""),
    "a computed column": schema("events", "data TEXT NOT NULL", "data TEXT AS (hex(zeroblob(1e9)))"),
    "another collation": schema("events", "job_id TEXT NOT NULL", "job_id TEXT COLLATE NOCASE NOT NULL"),
    "jobs are not strict": schema("jobs", "STRICT", ""),
    "jobs without rowid": schema("jobs", "STRICT", "STRICT, WITHOUT ROWID"),
    "a computed column of jobs": schema(
        "jobs", '"name" TEXT', '"name" TEXT AS (hex(zeroblob(100000000)))'
    ),
    "a check of jobs": schema("jobs", '"name" TEXT', "\"name\" TEXT CHECK (length(hex(zeroblob(1e8))))"),
    "a table is missing": sql("DROP TABLE signals"),
    "jobs are missing": sql("DROP TABLE jobs"),
    "the rows of jobs are missing": sql("DELETE FROM jobs"),
    "the rows of steps are missing": sql("DELETE FROM steps"),
    "the rows of attempts are missing": sql("DELETE FROM attempts"),
    "the rows of orc_meta are missing": sql("DELETE FROM orc_meta"),
    "the blobs are missing": sql("DELETE FROM blobs"),
    "the events are missing": sql("DELETE FROM events"),
    "a job id that is a path": renamed("../../outside/job"),
    "a job id that is an absolute path": renamed("/tmp/outside-of-the-ledger"),
    "a job id of 10 kB": renamed("job_" + "a" * 10_000),
    "an empty job id": renamed(""),
    "a job id with control characters": renamed("job_\x1b[2J\n\u202e"),
    "the tables have another job id": sql("UPDATE jobs SET job_id = '../../outside/job'"),
    "data that is a list": data("step.succeeded", "[]"),
    "data that is null": data("job.submitted", "null"),
    "data that is a number": data("step.started", "3"),
    "data that is no JSON": data("step.started", "{"),
    "data that is empty": data("job.started", ""),
    "data that is nested deeply": data("step.succeeded", _DEEP),
    "data with a text that is no Unicode": field("step.failed", message='"\\ud800"'),
    "data with bytes that are no text": events(
        lambda fields: fields["type"] == "step.failed"
        and fields.update(data=fields["data"].replace("exit", "\udcff"))
    ),
    "data that is a BLOB": column("step.started", data=b"{}", loose=True),
    "a version that is a text": column("job.started", version="x", loose=True),
    "a number of 5,000 digits": field("step.succeeded", output=_OUTPUT % _MANY),
    "a number of 400 digits": field("step.succeeded", output=_OUTPUT % ("9" * 400)),
    "a number beyond 64 bits": field("file.written", size_bytes=str(2**70)),
    "a negative size": field("file.written", size_bytes="-1"),
    "NaN": field("step.succeeded", output=_OUTPUT % "NaN"),
    "Infinity": field("step.succeeded", duration_s="1e999"),
    "a duration of 1e300": field("step.succeeded", duration_s="1e300"),
    "a shape that is no number": field("step.started", v='"x"'),
    "a negative shape": field("step.started", v="-1"),
    "an attempt of 2**62": column("step.started", attempt=2**62),
    "a path that leads out": field("file.written", path='"../../../outside/x"'),
    "an absolute path": field("file.written", path='"/tmp/outside-of-the-ledger"'),
    "a step that leads out": column("step.started", step=".."),
    "a step of 1 MB": column("step.started", step="s" * 1_000_000),
    "an unknown step": column("step.succeeded", step="nobody"),
    "an unknown type": column("step.started", type="step.exploded"),
    "a spec that is a number": field("job.submitted", spec='{"value":3}'),
    "a spec that is a list": field("job.submitted", spec='{"value":[]}'),
    "a spec of an unknown blob": field(
        "job.submitted", spec='{"sha256":"%s","size_bytes":3}' % ("0" * 64)
    ),
    "no job.submitted": events(lambda fields: fields["type"] != "job.submitted"),
    "a missing event": events(lambda fields: fields["version"] != 3),
    "two job.submitted": column("job.started", type="job.submitted"),
    "no step.started": events(lambda fields: fields["type"] != "step.started"),
    "runs_dir outside": field("job.submitted", runs_dir='"/tmp/outside-of-the-ledger"'),
    "runs_dir outside, also in the tables": sql(
        "UPDATE jobs SET runs_dir = '/tmp/outside-of-the-ledger'"
    ),
    "runs_dir that is no path": field("job.submitted", runs_dir='"a\\u0000b"'),
    "a digest that is a path": field("file.written", sha256='"../../outside/x"'),
    **{
        f"a time that is {time!r}": column("step.succeeded", recorded_at=time)
        for time in ("x", "", "9999-99-99T99:99:99.999999Z", "0000-01-01T00:00:00.000000Z",
                     "2026-02-31T00:00:00.000000Z")
    },
    **{
        f"a time of the tables that is {time}": sql(
            f"UPDATE jobs SET submitted_at = {time}, started_at = {time}, finished_at = {time}",
            f"UPDATE steps SET started_at = {time}, finished_at = {time}",
            f"UPDATE attempts SET started_at = {time}, finished_at = {time}",
        )
        for time in ("NULL", "''", "'x'", "'9999-99-99T99:99:99.999999Z'")
    },
    "the tables are NULL": sql(
        "UPDATE jobs SET name = NULL, status = NULL, provider = NULL, runs_dir = NULL, calls = NULL, "
        "input_tokens = NULL, output_tokens = NULL, steps_total = NULL",
        "UPDATE steps SET name = NULL, status = NULL, kind = NULL, needs = NULL, attempts = NULL",
        "UPDATE llm_calls SET provider = NULL, model = NULL, input_tokens = NULL",
    ),
    "the tables have texts that are none": sql(
        "UPDATE steps SET needs = '{', output = '[', status = 'exploded'",
        "UPDATE jobs SET status = 'exploded', name = CAST(x'ff' AS TEXT)",
    ),
    "the tables have huge numbers": sql(
        f"UPDATE llm_calls SET input_tokens = {2**62}, output_tokens = {2**62}",
        f"UPDATE jobs SET calls = {2**62}, input_tokens = {2**62}, duration_s = 1e300, cost_usd = 9e999",
        "UPDATE steps SET duration_s = 1e300, cost_usd = -9e999",
    ),
    "a version of the tables that is no number": sql("UPDATE orc_meta SET value = 'x'"),
    "a version of the tables that is huge": sql(f"UPDATE orc_meta SET value = '{_MANY}'"),
    "tables of an older version": sql("UPDATE orc_meta SET value = '1'"),
    "notes of imports that are no JSON": sql(
        "INSERT INTO orc_meta SELECT 'imported:' || job_id, '{' FROM jobs"
    ),
    "notes of imports that are lists": sql(
        "INSERT INTO orc_meta SELECT 'imported:' || job_id, '[]' FROM jobs"
    ),
    "notes of imports of other jobs": sql(
        "INSERT INTO orc_meta VALUES ('imported:../../outside/x', '{\"trusted\": false}')"
    ),
    "signals that are no JSON": sql(
        f"{_SEND} 'cancel', '[', 'x' FROM jobs"
    ),
    "signals that are lists": sql(
        f"{_SEND} 'decide', '[]', '' FROM jobs"
    ),
    "signals with numbers for texts": sql(
        "INSERT INTO signals (job_id, kind, data, created_at) "
        "SELECT job_id, 'decide', '{\"step\":3,\"option\":[],\"comment\":{},\"by\":7}', '' FROM jobs",
        "INSERT INTO signals (job_id, kind, data, created_at) "
        "SELECT job_id, 'cancel', '{\"reason\":{\"a\":1}}', '' FROM jobs",
    ),
    "blobs that are numbers": sql("UPDATE blobs SET content = 1.5"),
    "blobs that were removed without an event": sql("UPDATE blobs SET content = 3"),
    "blobs of another size": sql("UPDATE blobs SET size_bytes = -1"),
    "blobs with other bytes": sql("UPDATE blobs SET content = '['"),
    "the numbers of signals are at their end": sql(
        f"INSERT INTO signals VALUES ({2**63 - 1}, 'j', 'k', '', '')"
    ),
    "the numbers of events are at their end": sql(
        f"UPDATE events SET position = {2**63 - 1} WHERE position = (SELECT max(position) FROM events)"
    ),
}  # fmt: skip
