"""`orc note`: notes about a job, which `orc show` prints."""

from __future__ import annotations

from tests.cli.command_line import orc, write


def test_notes_of_any_length_are_shown_in_order() -> None:
    write("spec.yaml", "project: p\nsteps: {a: {value: 1}}\n")
    assert orc("run", "spec.yaml").code == 0
    long = "a long note " * 200
    for text in ("first", long.strip(), long.strip()):
        assert orc("note", "latest", text).code == 0
    notes = orc("show", "latest", "--json").json()["notes"]
    assert [note["text"] for note in notes] == ["first", long.strip()], "the same again is none"
    assert "first" in orc("show", "latest").out
    assert orc("verify").code == 0
    assert orc("export", "latest").code == 0


def test_an_empty_or_endless_note_is_refused() -> None:
    write("spec.yaml", "project: p\nsteps: {a: {value: 1}}\n")
    assert orc("run", "spec.yaml").code == 0
    assert "the note is empty" in orc("note", "latest", "  ").err
    assert "10,000 characters at most" in orc("note", "latest", "x" * 10_001).err
    assert orc("show", "latest", "--json").json()["notes"] == []
