"""The heads that a run folder names are read from the ends of its files, and in any form of JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orc.ledger import LedgerReader
from orc.ledger.files.folder import Folder
from orc.projections import Publisher, event_line, verify_job
from orc.projections.folder import run_folder, verify
from orc.projections.folder.stored_lines import stored_lines
from orc.projections.folder.verify import KnownHead, heads_in
from tests.builders import JOB, step
from tests.cli.crafted_ledgers import craft, events
from tests.projections.support import begun, open_in, write


@pytest.mark.parametrize("end_bytes", [1, 3, 100, 10_000])
@pytest.mark.parametrize("lead", ["", "{}\n", '{"seq": 1}\n' * 200])
def test_the_last_line_is_found_whatever_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lead: str, end_bytes: int
) -> None:
    monkeypatch.setattr(verify, "_END_BYTES", end_bytes)
    line = json.dumps({"text": "x" * 500, "seq": 7, "hash": "ab"})
    for end in ("\n", "", "\n\n"):
        (tmp_path / "events.jsonl").write_text(f"{lead}{line}{end}")
        assert heads_in(tmp_path) == [KnownHead("events.jsonl", 7, "ab")]


@pytest.mark.parametrize(("text", "heads"), [("", 0), ("\n\n", 1), ("{}\nno JSON\n", 1)])
def test_an_empty_file_names_no_head_and_another_one_none_that_can_be_read(
    tmp_path: Path, text: str, heads: int
) -> None:
    (tmp_path / "events.jsonl").write_text(text)
    assert heads_in(tmp_path) == [KnownHead("events.jsonl", 0, "")] * heads


def test_a_file_that_cannot_be_read_names_no_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "events.jsonl").write_text('{"seq": 1}\n')
    monkeypatch.setattr(Folder, "read", lambda *path, offset=0: None)
    assert heads_in(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "version", "link"),
    [
        ('{"steps": {"a": [1, NaN]}, "ledger_head": {"version": 3, "hash": "ab"}}', 3, "ab"),
        ('{"ledger_head": {"version": 3, "hash": "ab", "more": 1}, "more": 1}', 3, "ab"),
        ('{"ledger_head": {"version": "3", "hash": "ab"}}', 3, "ab"),
        ('{"ledger_head": {"version": 3}}', 3, ""),
        ('{"ledger_head": {"version": 3, "hash": "ab"}', 0, ""),
        ('{"ledger_head": {"version": null, "hash": "ab"}}', 0, ""),
        ("[]", 0, ""),
        ("\ufeff{}", 0, ""),
    ],
)
def test_the_head_in_a_manifest_is_read_in_each_form(
    tmp_path: Path, text: str, version: int, link: str
) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert heads_in(tmp_path) == [KnownHead("manifest.json", version, link)]


@pytest.mark.parametrize("few", [0, 200])
def test_lines_of_events_and_lines_of_their_data_are_both_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Another program may write the same values in another form of JSON."""
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a"), step("b")).start("a", "b").succeed("a").succeed("b"))
    database = tmp_path / "runs.db"

    def in_another_form(event: dict[str, str]) -> None:
        # A whole number is converted, and a line is then made of the event alone.
        form = "5e-1" if event["step"] == "a" else "1"
        event["data"] = event["data"].replace('"duration_s":0.5', f'"duration_s":{form}')

    craft(database, events(in_another_form))
    monkeypatch.setattr(run_folder, "_FEW_EVENTS", few)
    with open_in(tmp_path) as ledger:
        ledger.rebuild()
        Publisher(ledger, JOB, tmp_path / "out").publish()
    with LedgerReader.open(database) as reader:
        stored = list(reader.read_stored(JOB))
        of_data = stored_lines(stored)
        of_events = "".join(f"{event_line(recorded)}\n" for recorded, _ in stored).encode()
        assert of_data != of_events
        for lines in (of_data, of_events):
            (tmp_path / "out/events.jsonl").write_bytes(lines)
            assert verify_job(reader, JOB, folder=tmp_path / "out").problems == ()
        (tmp_path / "out/events.jsonl").write_bytes(of_data.replace(b"5e-1", b"50e-2"))
        (problem,) = verify_job(reader, JOB, folder=tmp_path / "out").problems
    assert problem == "events.jsonl was changed in the run folder"
