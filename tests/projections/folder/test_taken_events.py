"""A publisher that follows a ledger publishes commits as it gets them, and reads the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orc.ledger import JobId, Ledger, LedgerReader, failpoints, open_ledger
from orc.ledger.errors import VersionConflict
from orc.ledger.events import StoredEvent
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import Publisher, ReadModel
from orc.projections.folder import publish, run_folder
from orc.projections.folder.run_folder import File, RunFolder
from orc.projections.verify import verify_job
from tests.builders import JOB, step
from tests.projections.folder.test_live_folder import files_in
from tests.projections.support import Story, begun, ledger_of


def long_story(count: int = 9) -> Story:
    story = begun(*(step(f"s{number}") for number in range(count)))
    for number in range(count):
        story.start(f"s{number}").succeed(f"s{number}", "done")
    return story


@contextmanager
def followed(story: Story, first: int) -> Iterator[tuple[Ledger, Publisher, Path]]:
    """A ledger with the first events, which are published; a publisher follows it."""
    with ledger_of(story, batches=[story.stream[:first]]) as ledger:
        folder = ledger.path.parent / "live"
        with LedgerReader.open(ledger.path) as reader:
            publisher = Publisher(reader, JOB, folder)
            publisher.publish(final=False)
            with ledger.followed_by(publisher):
                yield ledger, publisher, folder


def check_export(ledger: Ledger, folder: Path) -> None:
    again = ledger.path.parent / "again"
    Publisher(ledger, JOB, again).publish()
    assert files_in(folder) == files_in(again)


def refuse_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: RunFolder, job_id: str) -> None:
        assert self.version == self._ledger.head(job_id).version, "events were read again"

    monkeypatch.setattr(RunFolder, "read", read)


def test_events_of_this_process_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    story = long_story()
    with followed(story, 3) as (ledger, publisher, folder):
        with monkeypatch.context() as patch:
            refuse_reading(patch)
            ledger.append(story.stream[3:6])
            ledger.append(story.stream[6:])
            publisher.publish()
        check_export(ledger, folder)


def test_events_that_were_not_committed_are_not_published() -> None:
    story = long_story()
    with followed(story, 3) as (ledger, publisher, folder):
        before = files_in(folder)
        for cause in ("ledger.before_begin", "ledger.after_insert"):
            with failing_at(cause), pytest.raises(Stopped):
                ledger.append(story.stream[3:])
        with pytest.raises(VersionConflict):
            ledger.append(story.stream[4:])
        publisher.publish(final=False)
        assert files_in(folder) == before
        ledger.append(story.stream[3:])
        publisher.publish()
        check_export(ledger, folder)


def test_events_of_another_process_are_read() -> None:
    story = long_story()
    with followed(story, 3) as (ledger, publisher, folder):
        ledger.append(story.stream[3:6])
        with closing(open_ledger(ledger.path, projector=ReadModel(), mask=NO_MASK)) as other:
            other.append(story.stream[6:9])
        ledger.append(story.stream[9:12])
        publisher.publish(final=False)
        assert len((folder / "events.jsonl").read_bytes().splitlines()) == 12
        ledger.append(story.stream[12:])
        publisher.publish()
        check_export(ledger, folder)


def test_a_large_job_has_the_same_lines_however_they_are_made() -> None:
    story = long_story(150)
    assert len(story.stream) > run_folder._FEW_EVENTS + 50
    with followed(story, 3) as (ledger, publisher, folder):
        for start in range(3, len(story.stream), 7):
            ledger.append(story.stream[start : start + 7])
        publisher.publish()
        check_export(ledger, folder)
        # It makes each line of the event.
        assert verify_job(ledger, JOB, folder=folder).problems == ()


@pytest.mark.parametrize("most", [2, 5000])
def test_events_that_come_during_a_publication_are_kept_up_to_a_number(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "TAKEN_MAX", most)
    story = long_story()
    with followed(story, 3) as (ledger, publisher, folder):
        with publisher._busy:
            for recorded in story.stream[3:9]:
                ledger.append([recorded])
            assert len(publisher._taken) == min(most, 6)
        with monkeypatch.context() as patch:
            if most > 6:
                refuse_reading(patch)
            publisher.publish(final=False)
        assert len((folder / "events.jsonl").read_bytes().splitlines()) == 9
        ledger.append(story.stream[9:])
        publisher.publish()
        check_export(ledger, folder)


def test_events_of_small_commits_are_applied_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "APPLIED_AT_ONCE", 5)
    story = long_story()
    sizes: list[int] = []
    real = RunFolder.apply_stored

    def counted(folder: RunFolder, stored: Sequence[StoredEvent]) -> None:
        sizes.append(len(stored))
        real(folder, stored)

    with followed(story, 3) as (ledger, publisher, folder), monkeypatch.context() as patch:
        patch.setattr(RunFolder, "apply_stored", counted)
        for recorded in story.stream[3:16]:
            ledger.append([recorded])
        assert sizes == [5, 5]
        publisher.publish(final=False)
        assert sizes == [5, 5, 3]
        check_export(ledger, folder)


@pytest.mark.parametrize("most", [2, 5000])
def test_what_comes_after_a_publication_is_not_read_again(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "TAKEN_MAX", most)
    story = long_story()
    with followed(story, 3) as (ledger, publisher, folder):
        ledger.append([story.stream[3]])
        with monkeypatch.context() as patch:
            real = publisher._write

            def write(file: File) -> None:
                if file.path == "events.jsonl":
                    for recorded in story.stream[4:9]:
                        ledger.append([recorded])
                real(file)

            patch.setattr(publisher, "_write", write)
            publisher.publish(final=False)
        assert len((folder / "events.jsonl").read_bytes().splitlines()) == 4
        for recorded in story.stream[9:11]:
            ledger.append([recorded])
        with monkeypatch.context() as patch:
            refuse_reading(patch)
            publisher.publish(final=False)
        check_export(ledger, folder)


@pytest.mark.parametrize("at_once", [1, 200])
def test_an_event_that_cannot_be_applied_stops_no_commit(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "APPLIED_AT_ONCE", at_once)
    story = long_story()
    real = RunFolder.apply_stored

    def fail_once(folder: RunFolder, stored: Sequence[StoredEvent]) -> None:
        """Apply an event in part, and fail."""
        monkeypatch.setattr(RunFolder, "apply_stored", real)
        folder._fold(stored[0][0])
        raise TypeError("boom")

    with followed(story, 3) as (ledger, publisher, folder):
        monkeypatch.setattr(RunFolder, "apply_stored", fail_once)
        ledger.append(story.stream[3:])
        assert ledger.head(JOB).version == len(story.stream)
        publisher.publish()
        assert RunFolder.apply_stored is real
        check_export(ledger, folder)


def test_events_of_other_jobs_are_passed_over() -> None:
    story = long_story()
    with followed(story, 3) as (ledger, publisher, folder):
        other = [one._replace(job_id=JobId("job_000000000009")) for one in story.stream]
        ledger.append([*other, *story.stream[3:]])
        publisher.publish()
        check_export(ledger, folder)


def test_a_ledger_tells_nothing_after_the_end() -> None:
    story = long_story()
    with followed(story, 3) as (ledger, publisher, _):
        pass
    assert not publisher._taken
    assert not ledger._followers


class Stopped(Exception):
    """Raised at a failpoint."""


@contextmanager
def failing_at(name: str) -> Iterator[None]:
    def hit(point: str) -> None:
        """Raise at the named place."""
        if point == name:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failpoints, "hit", hit)
        yield
