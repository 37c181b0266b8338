"""`orc show`: steps, files and events."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command_line import orc, submit, write
from tests.cli.conftest import Kept


def test_show_has_each_step_and_the_next_command_for_a_failed_job(kept: Kept) -> None:
    said = orc("show", kept.failed, "--db", kept.database)
    steps = {
        s["step"]: s
        for s in orc("show", kept.failed, "--json", "--db", kept.database).json()["steps"]
    }

    assert said.out.splitlines()[-1].startswith(f"next: orc resume {kept.failed} --db /")
    assert {name: step["status"] for name, step in steps.items()} == {
        "broken": "failed",
        "after": "skipped",
        "beside": "succeeded",
    }
    assert steps["broken"]["failure_kind"] == "exit_code"
    assert steps["after"]["needs"] == ["broken"]
    assert "reason" in steps["broken"]["note"]


def test_show_leaves_out_succeeded_items_of_very_many(here: Path) -> None:
    items = ", ".join(["1"] * 150 + ["0"])
    submit(f"project: many\nsteps: {{a: {{for_each: [{items}], value: '${{{{ 1 // item }}}}'}}}}\n")
    shown = orc("show", "latest").out
    assert "a[150]" in shown
    assert "a[0]" not in shown
    assert "and 150 more steps inside these: orc show job_" in shown
    assert "a[0]" in orc("show", "latest", "--all").out
    assert len(orc("show", "latest", "--json").json()["steps"]) == 152


def test_show_files_names_what_each_step_wrote(kept: Kept) -> None:
    files = orc("show", "latest", "-f", "--json", "--db", kept.database).lines()

    assert {file["path"]: file["step"] for file in files} == {
        "tiny_notes_api/README.md": "docs",
        "tiny_notes_api/main.py": "builder",
    }
    assert all(len(file["sha256"]) == 64 and file["size_bytes"] > 1000 for file in files)


def test_show_events_and_tail_print_the_lines_of_events_jsonl(kept: Kept) -> None:
    published = kept.database.parent / "runs" / kept.tiny / "events.jsonl"

    assert (
        orc("show", kept.tiny, "-e", "--json", "--db", kept.database).out == published.read_text()
    )
    assert orc("tail", kept.tiny, "--json", "--db", kept.database).out == published.read_text()


def test_the_models_are_those_of_the_steps(here: Path) -> None:
    job = submit("project: p\nprovider: openai/gpt-4o\nsteps: {a: {value: 1}}\n")
    shown = orc("show", job).out
    assert "spec       spec.yaml\n" in shown
    assert "gpt-4o" not in shown
    write("spec.replay.yaml", "replies: {a: [one], b: [two]}\n")
    job = submit(
        "project: p\nprovider: openai/gpt-4o\nsteps:\n  a: {prompt: x}\n  b: {prompt: x, model: m}\n",
        "-p",
        "replay",
    )
    assert "  models     replay/gpt-4o, replay/m\n" in orc("show", job).out
