"""A view of a job reads the attempts when they are asked for, and not before."""

from __future__ import annotations

from pathlib import Path

from orc.projections.tables.job_view import read_view
from orc.projections.tables.step_notes import step_note
from tests.builders import JOB, step
from tests.projections.support import begun, open_in, write


def test_attempts_are_read_at_their_first_use(tmp_path: Path) -> None:
    story = begun(step("a"), step("b"), step("c", needs=("b",)))
    story.start("a").succeed("a", "done").start("b").fail("b", message="broken")
    with open_in(tmp_path) as ledger:
        write(ledger, story)
        asked: list[str] = []
        ledger.connection.set_trace_callback(asked.append)
        view = read_view(ledger.connection, JOB)
        notes = [step_note(view, one) for one in view.steps]
        assert "broken" in notes
        assert not any("FROM attempts" in query for query in asked)
        assert list(view.attempts_of) == ["a", "b"]
        assert sum("FROM attempts" in query for query in asked) == 1
        one = read_view(ledger.connection, JOB, attempts_of="b")
        assert list(one.attempts_of) == ["b"]
