"""Every command that a message prints does its job in the situation in which it is printed."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orc.cli.command_table import COMMANDS, load_function
from orc.ledger.command_lines import WITHOUT_LEDGER, command_line, ledger_named
from tests.cli.command_line import FAILING, PASSING, orc, write
from tests.processes import ROOT

LEDGER = "other.db"
"""Not the default, so that a printed command needs `--db`."""

_NAMES = "|".join(map(re.escape, COMMANDS))
_BACKQUOTED = re.compile(rf"`(orc (?:{_NAMES})\b[^`]*)`")
_AT_THE_END = re.compile(
    r"(?:next|or|then|details|see|these|ledger|\$|it|run|again|lines?): "
    rf"(orc (?:{_NAMES})\b.*?)(?:    .*)?$",
    re.M,
)
_IN_A_LIST = re.compile(rf"^  (orc (?:{_NAMES})\b.*?)  ", re.M)
_SEVERAL = re.compile(r"    then: ")

APPROVAL = """\
project: asking
steps:
  "{step}": {{approval: {{message: Ship it?, options: {options}}}}}
  later: {{needs: "{step}", value: 1, if: always()}}
"""
PAID = """\
project: paid
provider: replay
defaults: {{params: {{max_tokens: 20}}}}
{budget}
steps:
  first: {{prompt: one}}
  second: {{needs: first, prompt: two{own}}}
  third: {{needs: first, prompt: three}}
"""
PARTED = """\
project: parted
steps:
  a: {value: 1}
  b: {needs: a, value: 2}
"""
DELIVERED = PASSING + "output_dir: out\n"
MANY = "project: many\nsteps:\n" + "".join(
    f"  s{number}: {{run: exit 1}}\n" for number in range(25)
)


def answer(*arguments: str) -> str:
    """The output of a command that is given in the situation."""
    said = orc(*arguments)
    assert "Traceback" not in said.err
    return said.out + said.err


def run(text: str, *options: str) -> str:
    write("spec.yaml", text)
    counted = "[{text: a, usage: {input_tokens: 3, output_tokens: 1}}]"
    replies = ", ".join(f"{step}: {counted}" for step in ("first", "second", "third"))
    write("spec.replay.yaml", f"version: 1\nreplies: {{{replies}}}\n")
    return answer("run", "spec.yaml", "--db", LEDGER, *options)


def seen(*, step: str | None = None) -> str:
    """What the commands that look at the job print."""
    found = answer("show", "latest", "--db", LEDGER)
    job = json.loads(answer("show", "latest", "--json", "--db", LEDGER))
    (listed,) = map(json.loads, answer("list", "-n", "1", "--json", "--db", LEDGER).splitlines())
    waiting = answer("list", "-n", "1", "--status", "waiting", "--db", LEDGER)
    # The list raises no limits that a job has reached.
    assert job["next"] == listed["next"] or job["next"].startswith(f"{listed['next']} --")
    assert job["next"] is None or job["next"] in printed_commands(found)
    if job["status"] == "waiting":
        # The list says the same as `orc show`, below the table, with the job's id.
        asked = printed_commands(found[found.index("\nnext: ") :])
        assert printed_commands(waiting) == asked
        assert f"{job['job_id']} waits " in waiting or f"{job['job_id']} {step or ''}" in waiting
    return found + (answer("why", "latest", step, "--db", LEDGER) if step else "")


def waiting(step: str = "gate", options: str = "[approve, reject]") -> Callable[[], str]:
    return lambda: run(APPROVAL.format(step=step, options=options)) + seen(step=step)


def item_waiting() -> str:
    text = "project: asking\nsteps:\n  gate:\n    for_each: [1]\n"
    return run(text + "    approval: {message: Ship it?, options: [ship, hold]}\n") + seen()


def container_waiting() -> str:
    text = "project: asking\nsteps:\n  gate:\n    for_each: [1, 2]\n    approval: Ship it?\n"
    run(text)
    return answer("approve", "latest", "gate", "--db", LEDGER) + seen(step="gate")


def decided_one_of_two() -> str:
    run("project: asking\nsteps:\n  one: {approval: Ship it?}\n  two: {approval: Ship it?}\n")
    return answer("approve", "latest", "one", "--db", LEDGER)


def queued() -> str:
    write("spec.yaml", PASSING)
    return answer("submit", "spec.yaml", "--db", LEDGER) + seen(step="first")


def decided() -> str:
    run(APPROVAL.format(step="gate", options="[approve, reject]"))
    return answer("approve", "latest", "gate", "--db", LEDGER)


def decided_in_the_queue() -> str:
    write("spec.yaml", APPROVAL.format(step="gate", options="[approve, reject]"))
    answer("submit", "spec.yaml", "--db", LEDGER)
    answer("work", "--stop-when-empty", "--db", LEDGER)
    return answer("approve", "latest", "gate", "--db", LEDGER)


def over_budget(budget: str, own: str = "") -> Callable[[], str]:
    def situation() -> str:
        printed = run(PAID.format(budget=budget, own=own))
        again = seen(step="second")
        assert [line for line in printed_commands(again) if "resume" in line] == [
            line for line in printed_commands(printed) if "resume" in line
        ]
        return printed + again

    return situation


def changed_input() -> str:
    Path("rows.csv").write_text("a\n1\n")
    run(
        "project: demo\ninputs: {rows: {type: table, default: rows.csv}}\nsteps:\n"
        '  one: {value: "${{ inputs.rows | length }}"}\n  two: {needs: one, value: 2}\n',
        "--until",
        "one",
    )
    Path("rows.csv").write_text("a\n1\n2\n")
    return answer("resume", "latest", "--only", "one", "--db", LEDGER)


def json_waiting() -> str:
    said = run(APPROVAL.format(step="gate", options="[ship, hold]"), "--json")
    assert '"next": "orc approve' in said
    return said.partition("\n{")[2] + said


def cancelled() -> str:
    run(APPROVAL.format(step="gate", options="[approve, reject]"))
    return answer("cancel", "latest", "--db", LEDGER)


def left_alone() -> str:
    Path("out").mkdir(exist_ok=True)
    Path("out/first.txt").write_text("mine")
    return run(DELIVERED)


def left_alone_by_a_worker() -> str:
    Path("out").mkdir(exist_ok=True)
    Path("out/first.txt").write_text("mine")
    write("spec.yaml", DELIVERED)
    answer("submit", "spec.yaml", "--db", LEDGER)
    return answer("work", "--stop-when-empty", "--db", LEDGER)


def timed_out() -> str:
    text = "project: slow\ntimeout: 200ms\nsteps:\n  a: {run: 'sleep 0.3', retry: 1}\n"
    return run(text)


def imported() -> str:
    run(PARTED, "--until", "a")
    answer("bundle", "latest", "job.orc", "--db", LEDGER)
    Path(LEDGER).rename("first.db")
    said = answer("import", "job.orc", "--db", LEDGER) + seen(step="b")
    return said + answer("resume", "latest", "--db", LEDGER)


def bundled() -> str:
    run(PASSING)
    return answer("bundle", "latest", "a job.orc", "--db", LEDGER)


def prunable() -> str:
    run(PASSING)
    return answer("prune", "--job", "latest", "--reason", "too old", "--db", LEDGER)


def redactable() -> str:
    run(PASSING)
    row = sqlite3.connect(LEDGER).execute("SELECT sha256 FROM files").fetchone()
    return answer("redact", row[0], "--db", LEDGER) + answer("redact", "00" * 8, "--db", LEDGER)


def without_blobs() -> str:
    run(PASSING + "  gate: {approval: May I?, needs: second}\n")
    answer("prune", "--job", "latest", "--yes", "--db", LEDGER)
    return answer("resume", "latest", "--db", LEDGER)


def forked() -> str:
    run(PASSING)
    return answer("fork", "latest", "--no-run", "--db", LEDGER)


def compared() -> str:
    for end in ("a", "b"):
        lines = "\\n".join(f"{number}{end}" for number in range(60))
        run(f'project: long\nsteps:\n  text: {{value: "{lines}"}}\n')
    return answer("diff", "latest~1", "latest", "--db", LEDGER)


def unreplayable() -> str:
    write("spec.yaml", PARTED)
    answer("submit", "spec.yaml", "--db", LEDGER)
    return answer("replay", "latest", "--db", LEDGER)


def replayed() -> str:
    run("project: random\nsteps:\n  a: {run: 'date +%N'}\n")
    return answer("replay", "latest", "--db", LEDGER)


def misused() -> str:
    run("project: p\ninputs: {name: {default: x}}\nsteps: {first: {value: '${{ inputs.name }}'}}\n")
    return "".join(
        answer(*arguments, "--db", LEDGER)
        for arguments in (
            ["resume", "latest", "-i", "name=1"],
            ["blame", "no such file"],
            ["blame", "no such file", "--job", "latest"],
            ["show", "latest", "--at", "99"],
            ["show", "nothing"],
            ["show", "latest~9"],
            ["list", "--project", "none"],
            ["verify", "latest", "--head", "x"],
            ["tail", "-f", "--step", "first"],
            ["run", "spec.yaml", "--executor", "none"],
        )
    )


def empty() -> str:
    write("spec.yaml", PASSING)
    answer("run", "spec.yaml", "--db", "full.db")
    answer("bundle", "latest", "job.orc", "--db", "full.db")
    sqlite3.connect(LEDGER).close()
    answer("rebuild", "--db", LEDGER)
    return answer("list", "--db", LEDGER) + answer("show", "latest", "--db", LEDGER)


def started() -> str:
    return answer("init", "app", "--to", "my folder/app.yaml")


def shown_demo() -> str:
    return answer("demo", "--db", LEDGER)


def with_many_steps() -> str:
    items = list(range(120))
    said = run(f'project: wide\nsteps:\n  all: {{for_each: {items}, value: "${{{{ item }}}}"}}\n')
    return said + seen()


def changed_tables() -> str:
    run(PASSING)
    with sqlite3.connect(LEDGER) as connection:
        connection.execute("UPDATE jobs SET name = 'other'")
    said = answer("verify", "--db", LEDGER)
    with sqlite3.connect(LEDGER) as connection:
        connection.execute("INSERT INTO steps (step_id, job_id, name) SELECT 'x', 'y', 'z'")
    return said + answer("verify", "--db", LEDGER)


def foreign_tables() -> str:
    run(PASSING)
    with sqlite3.connect(LEDGER) as connection:
        connection.execute("DROP TABLE files")
    return answer("list", "--db", LEDGER)


def several_jobs() -> str:
    run(PASSING)
    run(PASSING)
    return answer("import", LEDGER, "--db", "new.db")


def assessed() -> str:
    run(PASSING)
    noted = answer("note", "latest", "good", "--db", LEDGER)
    step = json.loads(answer("show", "latest", "--json", "--db", LEDGER))["steps"][0]["step"]
    return noted + answer("score", "latest", step, "taste=3", "--db", LEDGER)


def damaged() -> str:
    run(PASSING)
    with sqlite3.connect(LEDGER) as connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("UPDATE events SET data = '{' WHERE version = 2")
    return answer("tail", "latest", "--db", LEDGER) + answer("resume", "latest", "--db", LEDGER)


@dataclass(frozen=True)
class Situation:
    """How it comes about, and the exit codes with which a command has done its job in it."""

    make: Callable[[], str]
    codes: tuple[int, ...] = (0, 3)


SITUATIONS = {
    # A job whose step is rejected, and that is then resumed, fails.
    "waiting": Situation(waiting(), (0, 1, 3)),
    "own options": Situation(waiting(options="[ship, hold]")),
    "item": Situation(item_waiting),
    "container": Situation(container_waiting),
    "json": Situation(json_waiting),
    "queued": Situation(queued),
    "decided": Situation(decided),
    "decided one of two": Situation(decided_one_of_two, (0, 1, 3)),
    "decided in the queue": Situation(decided_in_the_queue),
    "budget of calls": Situation(over_budget("budget: {max_calls: 1}")),
    "budget of tokens": Situation(over_budget("budget: {max_tokens: 25}")),
    "budget of a step": Situation(over_budget("", ", budget: {max_calls: 0}")),
    "two budgets": Situation(over_budget("budget: {max_calls: 2}", ", budget: {max_tokens: 25}")),
    "interrupted": Situation(lambda: run(PARTED, "--until", "a") + seen(step="b")),
    "failed": Situation(lambda: run(FAILING) + seen(step="broken"), (0, 1)),
    "many failures": Situation(lambda: run(MANY), (0, 1)),
    "cancelled": Situation(cancelled),
    "changed input": Situation(changed_input),
    "timed out": Situation(timed_out),
    "files left alone": Situation(left_alone),
    "files left alone by a worker": Situation(left_alone_by_a_worker),
    "imported": Situation(imported),
    "bundled": Situation(bundled),
    "prunable": Situation(prunable),
    "redactable": Situation(redactable),
    "without blobs": Situation(without_blobs),
    "forked": Situation(forked),
    "compared": Situation(compared),
    "unreplayable": Situation(unreplayable),
    "replayed": Situation(replayed),
    "misused": Situation(misused),
    "empty": Situation(empty),
    # Without recorded replies, the models of the template must be there.
    "started": Situation(started, (0, 7)),
    "demo": Situation(shown_demo),
    "many steps": Situation(with_many_steps),
    "changed tables": Situation(changed_tables, (0, 5)),
    "foreign tables": Situation(foreign_tables, (0, 5)),
    "several jobs": Situation(several_jobs),
    "assessed": Situation(assessed),
    "damaged": Situation(damaged, (0, 5)),
}
PLACEHOLDERS = {"SPEC": "spec.yaml", "JOB": "latest", "FILE": "job.orc", "-f": "-n0"}
"""What the reader puts in place of a word in capitals; and a command that follows is not followed."""


READERS = ("blame", "cost", "diff", "executors", "list", "show", "tail", "verify", "why")


def printed_commands(text: str) -> list[str]:
    """The commands in an output, in their order, each once."""
    lines = _SEVERAL.sub("\n  then: ", text)
    found = [
        (match.start(), match[1].strip())
        for pattern in (_BACKQUOTED, _AT_THE_END, _IN_A_LIST)
        for match in pattern.finditer(lines)
    ]
    return list(dict.fromkeys(command for _, command in sorted(found)))


def give(command: str) -> int:
    """Type a printed command; its exit code."""
    name, *words = shlex.split(command)[1:]
    words = [PLACEHOLDERS.get(word, word) for word in words]
    if name == "work":
        words.append("--stop-when-empty")
    if name == "browse":
        return 0  # It serves until Ctrl-C; its options are checked by the command table.
    said = orc(name, *words)
    assert "Traceback" not in said.err, said.err
    return said.code


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_printed_command_does_its_job_where_it_is_printed(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    situation = SITUATIONS[name]
    place, kept = here / "a place", here / "kept"
    place.mkdir()
    monkeypatch.chdir(place)
    text = situation.make()
    commands = printed_commands(text)
    assert commands, text
    # Those that only read come first, where they were printed; the others find it as it was then.
    readers = [command for command in commands if command.split()[1] in READERS]
    codes = {command: give(command) for command in readers}
    shutil.copytree(place, kept, symlinks=True)
    for command in commands:
        if command in codes:
            continue
        codes[command] = give(command)
        monkeypatch.chdir(here)
        shutil.rmtree(place)
        shutil.copytree(kept, place, symlinks=True)
        monkeypatch.chdir(place)
    assert {one: code for one, code in codes.items() if code not in situation.codes} == {}, text


def test_a_command_names_the_ledger_unless_it_is_the_default(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command_line("show", "a b") == "orc show 'a b'"
    with ledger_named(Path("my ledger.db")):
        assert command_line("show", "x") == "orc show x --db 'my ledger.db'"
        assert command_line("init", "app") == "orc init app"
        monkeypatch.setenv("ORC_DB", str(here / "my ledger.db"))
        assert command_line("show", "x") == "orc show x"
    with ledger_named(here / "runs.db"):
        assert command_line("list") == f"orc list --db {here}/runs.db"
        monkeypatch.delenv("ORC_DB")
        assert command_line("list") == "orc list"


def test_the_commands_without_a_ledger_are_those_without_the_option() -> None:
    without = {name for name in COMMANDS if "database" not in load_function(name).__annotations__}
    assert without == set(WITHOUT_LEDGER)


PACKAGES = ("cli", "ledger", "orc", "projections", "providers", "scheduler")
BUILDERS = ("command_line", "quoted_command")

# Where commands are built, with the situation in which they are printed; or why there is none.
_DAMAGE = "a constant command for any damage: `verify` and `rebuild` are given in `damaged`"
BUILT = {
    "cli/jobs/caller/changed_inputs.py": "changed input",
    "cli/commands/blame.py": "misused",
    "cli/commands/cancel.py": "cancelled",
    "cli/commands/demo.py": "demo",
    "cli/commands/diff.py": "compared",
    "cli/commands/fork.py": "forked",
    "cli/commands/import_.py": "imported",
    "cli/commands/init.py": "started",
    "cli/commands/list.py": "misused",
    "cli/commands/logs.py": "`why STEP` and `show STEP`: tests/cli/commands/test_logs.py",
    "cli/commands/note.py": "assessed",
    "cli/commands/prune.py": "prunable",
    "cli/commands/redact.py": "redactable",
    "cli/commands/replay.py": "replayed",
    "cli/commands/resume.py": "misused",
    "cli/commands/score.py": "assessed",
    "cli/commands/show.py": "many steps",
    "cli/commands/submit.py": "queued",
    "cli/commands/tail.py": "misused",
    "cli/doctor/health.py": _DAMAGE,
    "cli/doctor/leftover_files.py": "tests/cli/commands/test_doctor.py gives both",
    "cli/jobs/acting/changes.py": "refusals on pages: tests/cli/jobs/acting/test_actions.py",
    "cli/jobs/owner_request.py": "`show` of a job whose owner is silent for 30 seconds",
    "cli/jobs/caller/executors.py": "`executors NAME` needs an engine: tests/executors",
    "cli/jobs/caller/recordings.py": "`replay`: tests/cli/jobs/caller/test_recordings.py",
    "cli/jobs/caller/trust.py": "imported",
    "cli/jobs/caller/left_running.py": "`cancel --force` needs an engine: tests/executors",
    "cli/jobs/cancel.py": "`cancel --force` needs a server of batches: tests/batches",
    "cli/jobs/damage.py": _DAMAGE,
    "cli/jobs/decide.py": "container",
    "cli/jobs/hooks/facts.py": "in the facts of a hook: tests/cli/hooks/test_hooks.py",
    "cli/jobs/hooks/run_hook.py": "after a hook that failed: tests/cli/hooks/test_hooks.py",
    "cli/jobs/telemetry/sender.py": "a dead collector: tests/cli/telemetry/test_telemetry.py",
    "cli/jobs/folders.py": "`resume` after the disk was full: tests/crash/test_disk.py",
    "cli/jobs/prepare.py": "misused",
    "cli/jobs/remove.py": "redactable",
    "cli/jobs/removed_blobs.py": "without blobs",
    "cli/jobs/resume.py": "after a start that was withdrawn: tests/cli/jobs/test_cancel_at_start.py",
    "cli/jobs/replay.py": "unreplayable",
    "cli/jobs/state.py": _DAMAGE,
    "cli/jobs/verify.py": "misused",
    "cli/ledger_access.py": "misused",
    "cli/mcp/arguments.py": "`mcp` serves until its client ends",
    "cli/terminal/decisions.py": "decided",
    "cli/terminal/next_commands.py": "budget of calls",
    "cli/terminal/next_lines.py": "`work` in the queue: tests/cli/commands/test_work.py",
    "cli/terminal/removals.py": "prunable",
    "cli/terminal/run_lines.py": "many failures",
    "cli/terminal/contents/step_texts.py": "`why STEP`: tests/cli/commands/test_show_step.py",
    "cli/terminal/contents/step_view.py": "`show`: tests/cli/commands/test_show_step.py",
    "cli/terminal/worker_display.py": "files left alone by a worker",
    "ledger/codec.py": _DAMAGE,
    "ledger/command_lines.py": "own options",
    "ledger/connection.py": _DAMAGE,
    "ledger/files/in_use.py": _DAMAGE,
    "ledger/names.py": "misused",
    "ledger/reader.py": _DAMAGE,
    "ledger/schema.py": "damaged",
    "ledger/schema_check.py": _DAMAGE,
    "ledger/store.py": _DAMAGE,
    "ledger/transport/imported.py": "imported",
    "ledger/transport/untrusted.py": "several jobs",
    "ledger/upcasts.py": _DAMAGE,
    "projections/damage.py": _DAMAGE,
    "projections/datasette/cells.py": "the titles of cells: as in `interrupted` and `queued`",
    "projections/datasette/routes.py": "`browse` serves until Ctrl-C",
    "projections/folder/verify.py": "`export` and `resume` of the job: tests/projections/folder",
    "projections/pages/render.py": "the first page: as in `empty`",
    "projections/pages/views.py": _DAMAGE,
    "projections/tables/own_schema.py": "foreign tables",
    "projections/tables/status.py": "queued",
    "projections/tables/verify.py": "changed tables",
    "projections/tables/writer.py": _DAMAGE,
    "projections/verify.py": _DAMAGE,
    "projections/why/pending.py": "queued",
    "scheduler/attempt.py": "`executors` after a site file has gone: tests/executors",
}


def test_each_built_command_has_a_situation() -> None:
    """A new place that builds a command names the situation in which the test above gives it."""
    found = {
        path
        for path, tree in sources(*BUILDERS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in BUILDERS
    }
    assert found == set(BUILT)
    assert {said for said in BUILT.values() if " " not in said} <= set(SITUATIONS)


# Sentences that name a command, but do not tell anyone to type it as it stands there.
NAMED = {
    "cli/browse/gate.py",
    "cli/chaos/display.py",
    "cli/chaos/trial.py",
    "cli/cluster/certificates.py",
    "cli/cluster/engine_commands.py",
    "cli/cluster/reports.py",
    "cli/command_table.py",
    "cli/commands/bundle.py",
    "cli/commands/import_.py",
    "cli/jobs/bundle.py",
    "cli/jobs/caller/executors.py",
    "cli/jobs/caller/sites.py",
    "cli/jobs/edits.py",
    "cli/options.py",
    "cli/jobs/plan.py",
    "scheduler/core/rules/placing.py",
    "cli/jobs/remove.py",
    "cli/terminal/job_notes.py",
    "ledger/files/exposure.py",
    "ledger/files/file_store.py",
    "ledger/files/private_folder.py",
    "ledger/files/snapshot.py",
    "ledger/kinds.py",
    "ledger/transport/untrusted.py",
    "projections/tables/rows.py",
    "projections/why/explainer.py",
    "scheduler/drivers/addresses.py",
    "scheduler/drivers/dask_connection.py",
    "scheduler/drivers/dask_driver.py",
    "scheduler/executors/capacity.py",
    "scheduler/executors/site.py",
    # Recorded in events, which are read under other names of the ledger.
    "scheduler/guard.py",
    "scheduler/folders/spec_folder.py",
    "scheduler/inputs/values.py",
}


def test_no_message_writes_a_command_without_the_builder() -> None:
    command = re.compile(rf"\borc (?:{_NAMES})\b")
    found = {
        path
        for path, tree in sources("orc ", 'orc"', "orc'")
        for node in texts_of(tree)
        if command.search(str(node.value))
    }
    assert found == NAMED


def sources(*words: str) -> Iterator[tuple[str, ast.Module]]:
    """The modules of orc that have one of the words."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text("utf-8")
            if any(word in text for word in words):
                yield str(path.relative_to(ROOT)), ast.parse(text)


def texts_of(tree: ast.Module) -> Iterator[ast.Constant]:
    """The texts in a module, apart from its docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in docstrings:
            assert isinstance(node, ast.Constant)
            yield node


def test_the_pages_name_commands_with_the_builder() -> None:
    for path in (ROOT / "projections/pages/templates").iterdir():
        assert not re.search(rf"\borc (?:{_NAMES})\b", path.read_text("utf-8")), path
