"""list, show, tail, graph, verify, export, doctor, schema: what is there, for people and programs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.command_line import EXAMPLES, PASSING, TINY_SPEC, orc, submit, write
from tests.cli.conftest import Kept

EVERY_READER = [
    ("list",),
    ("list-runs",),
    ("show", "latest"),
    ("show", "latest", "--events"),
    ("show", "latest", "--files"),
    ("tail", "latest"),
    ("tail", "latest", "-f"),
    ("graph", "latest"),
    ("graph", "latest", "--mermaid"),
    ("verify",),
    ("doctor",),
]


@pytest.mark.parametrize("command", EVERY_READER, ids=" ".join)
def test_a_reader_answers_people_in_plain_text(command: tuple[str, ...], kept: Kept) -> None:
    said = orc(*command, "--db", kept.database)

    assert said.code == 0, said.err
    assert "\x1b" not in said.out + said.err
    assert all(line == line.rstrip() for line in said.out.splitlines())
    # What verify says is talk: its data is its exit code.
    assert bool(said.out) == (command != ("verify",))


@pytest.mark.parametrize("command", EVERY_READER, ids=" ".join)
def test_a_reader_answers_programs_in_json_and_says_nothing_else(
    command: tuple[str, ...], kept: Kept
) -> None:
    said = orc(*command, "--json", "--db", kept.database)

    assert said.code == 0, said.err
    assert said.err == ""
    assert said.out.isascii()
    assert all(isinstance(line, dict) for line in said.lines())
    assert said.lines()


def test_the_ledger_is_named_by_option_or_environment_or_is_here(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    assert orc("list").code == 6
    by_option = orc("list", "--db", kept.database)
    monkeypatch.setenv("ORC_DB", str(kept.database))
    by_environment = orc("list")
    mine = submit(PASSING, "--db", here / "mine.db")
    over_environment = orc("list", "--json", "--db", here / "mine.db")

    assert by_option == by_environment
    assert [line["job_id"] for line in over_environment.lines()] == [mine]


def test_list_shows_the_newest_first_and_as_many_as_asked(kept: Kept) -> None:
    everything = [line["job_id"] for line in orc("list", "--json", "--db", kept.database).lines()]
    two = [
        line["job_id"]
        for line in orc("list-runs", "-n", "2", "--json", "--db", kept.database).lines()
    ]

    assert everything == [kept.tiny, kept.failed, kept.passed]
    assert two == [kept.tiny, kept.failed]
    assert everything == sorted(everything, reverse=True)
    assert all(re.fullmatch(r"job_[a-z0-9]{12}", job_id) for job_id in everything)


def test_a_job_goes_by_its_id_by_a_part_of_it_and_by_latest(kept: Kept) -> None:
    def shown(name: str) -> str:
        return str(orc("show", name, "--json", "--db", kept.database).json()["job_id"])

    assert shown(kept.failed) == kept.failed
    assert shown(kept.passed[-6:]) == kept.passed
    assert shown("latest") == kept.tiny


def test_a_part_of_several_ids_is_answered_with_them(kept: Kept) -> None:
    said = orc("show", "job_", "--db", kept.database)

    assert said.code == 6
    assert all(job in said.err for job in (kept.passed, kept.failed, kept.tiny))


def test_show_has_each_step_and_the_next_command_for_a_failed_job(kept: Kept) -> None:
    said = orc("show", kept.failed, "--db", kept.database)
    steps = {
        s["step"]: s
        for s in orc("show", kept.failed, "--json", "--db", kept.database).json()["steps"]
    }

    assert said.out.splitlines()[-1] == f"next: orc resume {kept.failed}"
    assert {name: step["status"] for name, step in steps.items()} == {
        "broken": "failed",
        "after": "skipped",
        "beside": "succeeded",
    }
    assert steps["broken"]["failure_kind"] == "exit_code"
    assert steps["after"]["needs"] == ["broken"]
    assert "reason" in steps["broken"]["note"]


def test_show_leaves_out_the_quiet_ones_of_very_many_items(here: Path) -> None:
    items = ", ".join(["1"] * 150 + ["0"])
    submit(f"project: many\nsteps: {{a: {{for_each: [{items}], value: '${{{{ 1 // item }}}}'}}}}\n")
    shown = orc("show", "latest").out
    assert "a[150]" in shown
    assert "a[0]" not in shown
    assert "and 150 more inside these: orc show job_" in shown
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


def test_tail_keeps_the_types_and_the_step_that_were_asked_for(kept: Kept) -> None:
    def types(*options: str) -> list[str]:
        said = orc("tail", kept.tiny, "--json", "--db", kept.database, *options)
        return [line["type"] for line in said.lines()]

    assert types("--type", "job") == ["job.submitted", "job.started", "job.succeeded"]
    assert types("--type", "job.started") == ["job.started"]
    assert types("--type", "jo") == []
    assert types("--step", "qa") == [
        "step.started",
        "llm.requested",
        "llm.responded",
        "step.succeeded",
    ]
    assert types("--step", "qa", "--type", "llm") == ["llm.requested", "llm.responded"]


def test_a_line_of_tail_is_short_however_long_its_event(kept: Kept) -> None:
    lines = orc("tail", kept.tiny, "--db", kept.database).out.splitlines()

    assert max(map(len, lines)) <= 200
    assert "request_sha256=" in " ".join(lines)
    assert not re.search(r"[0-9a-f]{13}", " ".join(lines)), "digests are cut to twelve digits"


def test_graph_draws_a_spec_and_a_job_with_the_state_of_its_steps(kept: Kept) -> None:
    spec = orc("graph", TINY_SPEC)
    job = orc("graph", kept.failed, "--db", kept.database)
    picture = orc("graph", kept.failed, "--mermaid", "--db", kept.database)

    assert spec.out.splitlines() == [
        "●   architect  prompt",
        "├─╮",
        "● │ builder  prompt",
        "│ ● docs  prompt",
        "├─╯",
        "●   qa  prompt",
    ]
    marked = [line.split()[:2] for line in job.out.splitlines() if line]
    assert marked == [["✗", "broken"], ["-", "after"], ["✓", "beside"]]
    assert picture.out.startswith('flowchart LR\n    s0["broken"]:::failed\n')
    assert "    s0 --> s1\n" in picture.out
    assert orc("graph", TINY_SPEC, "--json").json()["needs"]["qa"] == ["builder", "docs"]


def test_dry_run_shows_the_graph_and_the_models_and_submits_nothing(here: Path) -> None:
    said = orc("run", TINY_SPEC, "--dry-run", "-p", "ollama/tiny")
    as_json = orc("run", TINY_SPEC, "--dry-run", "--json")

    assert said.code == as_json.code == 0
    assert "architect: ollama/tiny, at most 3 attempt(s)" in said.out
    assert as_json.json()["steps"]["qa"] == ["builder", "docs"]
    assert list(here.iterdir()) == []


def test_verify_says_how_far_it_looked_and_what_it_cannot_see(kept: Kept) -> None:
    said = orc("verify", kept.passed, "--db", kept.database)
    verdict = orc("verify", kept.passed, "--json", "--db", kept.database).json()

    manifest = json.loads(
        (kept.database.parent / "runs" / kept.passed / "manifest.json").read_text()
    )
    assert f"{verdict['events']} events" in said.err
    assert "against a head known from elsewhere" in said.err
    assert manifest["ledger_head"] == {"version": verdict["events"], "hash": verdict["head"]}


def test_export_writes_the_same_folder_elsewhere_and_overwrites_nothing(
    kept: Kept, here: Path
) -> None:
    said = orc("export", kept.tiny, "--to", here / "copy", "--json", "--db", kept.database)
    again = orc("export", kept.tiny, "--to", here / "copy", "--db", kept.database)

    assert said.json() == {"job_id": kept.tiny, "folder": str(here / "copy"), "lost": []}
    assert tree(here / "copy") == tree(kept.database.parent / "runs" / kept.tiny)
    assert again.code == 2
    assert "not an empty folder" in again.err


def test_export_brings_a_deleted_run_folder_back(here: Path) -> None:
    job = submit(PASSING)
    before = tree(here / "runs" / job)
    for path in sorted((here / "runs" / job).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

    assert orc("export", job).code == 0
    assert tree(here / "runs" / job) == before


def test_rebuild_derives_the_tables_again(here: Path) -> None:
    job = submit(PASSING)
    before = orc("show", job, "--json").json()

    assert orc("rebuild").err == f"tables rebuilt from {events_of(job)} events\n"
    assert orc("rebuild", "--json").json() == {"events": events_of(job)}
    assert orc("show", job, "--json").json() == before


def test_doctor_names_what_it_found_and_ends_with_7_for_a_broken_ledger(kept: Kept) -> None:
    healthy = orc("doctor", "--json", "--db", kept.database).json()
    broken = orc("doctor", "--db", write("notes.txt", "no ledger"))

    found = {finding["name"]: finding["level"] for finding in healthy["findings"]}
    assert healthy["healthy"] is True
    assert {"python", "sqlite", "ledger", "ollama", "replay", "trio"} <= set(found)
    assert broken.code == 7
    assert "bad   ledger: " in broken.out


def test_the_schema_is_json_schema_and_has_every_key_of_the_examples() -> None:
    schema = json.loads(orc("schema").out)

    assert schema["$schema"].endswith("2020-12/schema")
    assert orc("schema", "--json").out == orc("schema").out
    import yaml

    for path in EXAMPLES.glob("*.yaml"):
        if not path.name.endswith(".replay.yaml"):
            assert_fits(yaml.safe_load(path.read_text("utf-8")), schema, schema)


def test_the_schema_refuses_unknown_keys() -> None:
    schema = json.loads(orc("schema").out)

    with pytest.raises(AssertionError, match="nonsense"):
        assert_fits({"project": "x", "nonsense": 1}, schema, schema)
    with pytest.raises(AssertionError, match="project"):
        assert_fits({"task_description": "x"}, schema, schema)


def assert_fits(value: object, schema: dict[str, object], root: dict[str, object]) -> None:
    """The part of JSON Schema that the document uses, as far as keys and types go."""
    names: dict[str, type | tuple[type, ...]] = {
        "object": dict, "array": list, "string": str, "integer": int,
        "number": (int, float), "boolean": bool, "null": type(None),
    }  # fmt: skip
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found: object = root
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(found, dict)
            found = found[part]
        assert isinstance(found, dict)
        assert_fits(value, found, root)
    choices = schema.get("anyOf")
    if isinstance(choices, list):
        assert any(_fits(value, choice, root) for choice in choices), value
    kind = schema.get("type")
    if isinstance(kind, str):
        assert isinstance(value, names[kind]), (value, kind)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        assert isinstance(properties, dict)
        required = schema.get("required", [])
        assert isinstance(required, list)
        assert set(required) <= set(value), required
        for key, item in value.items():
            assert key in properties or others is not False, key
            of_key = properties.get(key, others)
            if isinstance(of_key, dict):
                assert_fits(item, of_key, root)
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, dict):
        for item in value:
            assert_fits(item, items, root)


def events_of(job: str) -> int:
    return len(orc("tail", job, "--json").lines())


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _fits(value: object, schema: dict[str, object], root: dict[str, object]) -> bool:
    try:
        assert_fits(value, schema, root)
    except AssertionError:
        return False
    return True
