"""The fold of owned files against a simple model of the rule, and its readers against the fold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orc.ledger import Payload, Recorded
from orc.ledger.digest import digest_bytes
from orc.ledger.events import AnyEvent, FileRef, FileWritten, JobAmended, StepReused
from orc.ledger.stored_struct import dump
from orc.projections import Manifest, Publisher, ReadModel, collect_results
from orc.projections.exports.crate_facts import read_facts
from orc.projections.exports.source import read_source
from orc.projections.folder.publish import deliver
from orc.projections.folder.removed_files import remove_files
from orc.projections.folds.owned_files import OwnedFiles, read_owned
from orc.projections.history.recording import build_recording, find_differences
from orc.projections.money.prices import NO_PRICES
from orc.projections.verify import verify_job
from tests.builders import JOB, amended, at, failed, job, reused, started, step, succeeded
from tests.each_case import each_case
from tests.histories.recorder import FOLDER
from tests.histories.test_histories import read_stream
from tests.projections.support import begun, ledger_of

STEPS = ("a", "a[0]", "a[1]", "a[1]/m", "a#1", "ab", "b", "b/m", "b/m#2/x", "c")
PATHS = ("demo/1", "demo/2", "demo/3", "demo/d/4")
TEXTS = (b"one", b"two")
DEFINITION = job(*(step(name) for name in STEPS))


def file(path: str, content: bytes) -> FileRef:
    return FileRef(
        path=path,
        sha256=digest_bytes(content),
        size_bytes=len(content),
        media_type="text/plain",
    )


def written(
    step_id: str, path: str, content: bytes, attempt: int = 1, mode: str | None = None
) -> FileWritten:
    fields = dump(file(path, content)) | {"mode": mode}
    return FileWritten(step=step_id, attempt=attempt, **fields)


_modes = st.sampled_from((None, None, "755"))
_files = st.builds(
    lambda path, content, mode: replace(file(path, content), mode=mode),
    st.sampled_from(PATHS),
    st.sampled_from(TEXTS),
    _modes,
)
_events: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(
        written,
        st.sampled_from(STEPS),
        st.sampled_from(PATHS),
        st.sampled_from(TEXTS),
        st.integers(1, 3),
        _modes,
    ),
    st.builds(
        lambda name, files: reused(name, *files),
        st.sampled_from(STEPS),
        st.lists(_files, max_size=3),
    ),
    st.builds(
        lambda reset, removed: amended(DEFINITION, *reset, removed=tuple(removed)),
        st.lists(st.sampled_from(("a", "ab", "b", "c")), max_size=2, unique=True),
        st.lists(st.sampled_from(("a", "ab", "b", "c")), max_size=1),
    ),
)


def record(events: Iterable[AnyEvent]) -> list[Recorded]:
    submitted = begun(*DEFINITION.steps).stream
    return submitted + [
        Recorded(JOB, version, at(version), event)
        for version, event in enumerate(events, start=len(submitted) + 1)
    ]


Rows = dict[str, tuple[str, str, int, str, str | None, int | None, str]]


def expected_rows(stream: list[Recorded]) -> Rows:
    """The rule in a simple and slow form: every event looks at every file."""
    rows: Rows = {}
    for recorded in stream:
        event = recorded.event
        if isinstance(event, JobAmended):
            for path, row in list(rows.items()):
                for name in (*event.reset, *event.removed):
                    if row[0] == name or row[0].startswith((f"{name}[", f"{name}#", f"{name}/")):
                        rows.pop(path, None)
        if isinstance(event, FileWritten):
            own(rows, recorded, event.step, event, event.attempt)
        elif isinstance(event, StepReused):
            for found in event.files:
                own(rows, recorded, event.step, found, None)
    return rows


def own(
    rows: Rows, recorded: Recorded, step_id: str, found: FileRef | FileWritten, attempt: int | None
) -> None:
    there = rows.get(found.path)
    if there is None or (*there[:2], there[4]) != (
        step_id,
        found.sha256,
        found.mode,
    ):
        described = (found.sha256, found.size_bytes, found.media_type, found.mode)
        rows[found.path] = (step_id, *described, attempt, recorded.recorded_at)


def rows_of_fold(owned: OwnedFiles) -> Rows:
    return {
        found.file.path: (
            found.step, found.file.sha256, found.file.size_bytes, found.file.media_type,
            found.file.mode, found.attempt, found.written_at,
        )
        for found in owned.outputs
    }  # fmt: skip


def rows_of_table(stream: list[Recorded], batch: int) -> Rows:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE blobs (sha256 TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE events (position, job_id, version)")
        model = ReadModel()
        model.create(connection)
        for start in range(0, len(stream), batch):
            model.apply(connection, stream[start : start + batch])
        rows = connection.execute(
            "SELECT path, step_id, sha256, size_bytes, media_type, mode, attempt, written_at "
            "FROM files"
        ).fetchall()
    return {path: (key.partition("/")[2], *rest) for path, key, *rest in rows}


def rows_of_manifest(stream: list[Recorded]) -> dict[str, tuple[str, str]]:
    manifest = Manifest(lambda payload: payload.value)
    for recorded in stream:
        manifest.apply(recorded)
    return {found["path"]: (found["step"], found["sha256"]) for found in manifest.value()["files"]}


def check(stream: list[Recorded], batch: int = 3) -> None:
    expected = expected_rows(stream)
    owned = read_owned(stream)
    assert rows_of_fold(owned) == expected
    assert rows_of_table(stream, batch) == expected
    assert rows_of_manifest(stream) == {path: row[:2] for path, row in expected.items()}
    for name in STEPS:
        own = {path for path, row in expected.items() if row[0] == name}
        assert set(owned.outputs.of_step(name)) == own
        held = {path for path, row in expected.items() if is_in(row[0], name)}
        assert {found.file.path for found in owned.outputs.inside(name)} == held


def is_in(step_id: str, holder: str) -> bool:
    return step_id == holder or step_id.startswith((f"{holder}[", f"{holder}#", f"{holder}/"))


@settings(max_examples=50, deadline=None)
@given(st.lists(_events, max_size=14), st.integers(1, 20))
def test_fold_table_and_manifest_have_the_files_of_the_rule(
    events: list[AnyEvent], batch: int
) -> None:
    check(record(events), batch)


@each_case("path", sorted(FOLDER.glob("*.jsonl")))
def test_every_recorded_history_has_the_same_files_everywhere(path: Path) -> None:
    check(read_stream(path))


@settings(max_examples=15, deadline=None)
@given(st.lists(_events, max_size=10), st.integers(0, 10))
def test_a_run_folder_published_in_parts_has_the_files_of_a_new_one(
    events: list[AnyEvent], cut: int
) -> None:
    check_parts(events, cut)


@pytest.mark.torture
class TestForLong:
    """The same properties with many more histories."""

    @settings(max_examples=1000, deadline=None)
    @given(st.lists(_events, max_size=14), st.integers(1, 20))
    def test_fold_table_and_manifest_have_the_files_of_the_rule(
        self, events: list[AnyEvent], batch: int
    ) -> None:
        check(record(events), batch)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(_events, max_size=10), st.integers(0, 10))
    def test_a_run_folder_published_in_parts(self, events: list[AnyEvent], cut: int) -> None:
        check_parts(events, cut)


def check_parts(events: list[AnyEvent], cut: int) -> None:
    stream = record(events)
    cut += len(stream) - len(events)
    with ledger_with(stream[:cut]) as ledger:
        grown, fresh, target = (ledger.path.parent / name for name in ("grown", "fresh", "given"))
        Publisher(ledger, JOB, grown).publish()
        if stream[cut:]:
            ledger.append(stream[cut:])
        Publisher(ledger, JOB, grown).publish()
        Publisher(ledger, JOB, fresh).publish()
        expected = {path: row[1] for path, row in expected_rows(stream).items()}
        assert digests(grown / "outputs") == digests(fresh / "outputs") == expected
        deliver(ledger, JOB, target, force=False)
        assert digests(target) == {
            path.removeprefix("demo/"): digest for path, digest in expected.items()
        }
        assert verify_job(ledger, JOB, folder=grown).problems == ()


def ledger_with(stream: list[Recorded]) -> Any:
    story = begun(*DEFINITION.steps)
    story.stream, story.blobs = stream, list(TEXTS)
    return ledger_of(story)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): digest_bytes(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def superseded(*events: AnyEvent) -> list[str]:
    return [found.path for found in read_owned(record(events)).superseded()]


def test_the_former_file_of_a_step_is_superseded_until_the_step_writes_it_again() -> None:
    again = (written("c", "demo/1", b"one"), amended(DEFINITION, "c"), started("c", 2))
    assert superseded(*again) == ["outputs/demo/1"]
    assert superseded(*again, written("c", "demo/1", b"one", 2)) == []
    assert superseded(*again, written("c", "demo/2", b"one", 2)) == ["outputs/demo/1"]


def test_a_path_that_is_owned_again_is_not_superseded() -> None:
    owned = written("a[0]", "demo/1", b"one"), amended(DEFINITION, "a")
    assert superseded(*owned, written("a[1]", "demo/1", b"two")) == []


def test_artifacts_and_reused_logs_go_with_the_step_that_holds_theirs() -> None:
    left = replace(succeeded("b/m"), artifacts=(file("x", b"one"),))
    had = reused("a[0]", log=Payload(value="said"), artifacts=(file("y", b"two"),))
    assert superseded(left, had) == []
    assert sorted(superseded(left, had, amended(DEFINITION, "b", removed=("a",)))) == [
        "artifacts/a[0]/y",
        "artifacts/b.m/x",
        "logs/a[0].reused.log",
    ]


def test_artifacts_of_a_failed_attempt_go_when_a_result_is_reused() -> None:
    left = replace(failed("b"), artifacts=(file("x", b"one"),))
    assert superseded(left) == []
    assert superseded(left, reused("b")) == ["artifacts/b/x"]
    assert superseded(left, reused("b", artifacts=(file("y", b"two"),))) == ["artifacts/b/x"]
    assert superseded(left, reused("b", artifacts=(file("x", b"two"),))) == []


def test_files_and_artifacts_come_and_go_while_the_job_runs() -> None:
    story = begun(step("a"), step("b", prompt="?"))
    old, new = story.file("old.txt", b"old"), story.file("old.txt/new.txt", b"new")
    story.record(started("a"), written("a", "demo/1", b"one"), succeeded_with(old))
    story.blobs += [*TEXTS, b"old", b"new"]
    half = len(story.stream)
    story.record(
        amended(story.definition, "a"), started("a", 2), written("a", "demo/1/2", b"two", 2)
    )
    story.record(succeeded_with(new, attempt=2))
    with ledger_of(story, batches=[story.stream[:half]]) as ledger:
        folder = ledger.path.parent / "out"
        publisher = Publisher(ledger, JOB, folder)
        publisher.publish(final=False)
        assert published(folder) == {"artifacts/a/old.txt": b"old", "outputs/demo/1": b"one"}
        ledger.append(story.stream[half:])
        publisher.publish(final=False)
        # The new ones are where the old ones were, in folders.
        assert published(folder) == {
            "artifacts/a/old.txt/new.txt": b"new",
            "outputs/demo/1/2": b"two",
        }


def succeeded_with(artifact: FileRef, attempt: int = 1) -> AnyEvent:
    return replace(succeeded("a", attempt), artifacts=(artifact,))


def published(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for name in ("artifacts", "outputs")
        for path in (folder / name).rglob("*")
        if path.is_file()
    }


def test_redacted_bytes_of_a_former_file_go_from_the_run_folder() -> None:
    events = (written("a[0]", "demo/1", b"one"), amended(DEFINITION, removed=("a",)))
    with ledger_with(record(events)) as ledger:
        folder = ledger.path.parent / "out"
        place = folder / "outputs/demo/1"
        place.parent.mkdir(parents=True)
        place.write_bytes(b"one")
        assert list(remove_files(ledger, JOB, {digest_bytes(b"two")}, folder, NO_PRICES)) == []
        assert list(remove_files(ledger, JOB, {digest_bytes(b"one")}, folder, NO_PRICES)) == [place]


def test_a_result_has_each_file_inside_it_once() -> None:
    stream = record(
        (
            written("a[0]", "demo/1", b"one"),
            succeeded("a[0]"),
            written("a[1]/m", "demo/2", b"one"),
            succeeded("a[1]/m"),
            succeeded("a[1]"),
            succeeded("a"),
        )
    )
    found = collect_results(stream)
    paths = {name: [one.path for one in result.files] for name, result in found.items()}
    assert paths == {
        "a[0]": ["demo/1"],
        "a[1]/m": ["demo/2"],
        "a[1]": ["demo/2"],
        "a": ["demo/1", "demo/2"],
    }
    assert collect_results([*stream, *record((amended(DEFINITION, "a"),))[-1:]]) == {}


def test_a_replay_is_not_compared_with_items_that_an_amendment_took() -> None:
    before = record(
        (written("a[1]", "demo/2", b"one"), succeeded("a[1]"), amended(DEFINITION, "a"))
    )
    after = record(())
    assert list(find_differences(before, after, lambda payload: None)) == []


def test_a_recording_has_no_replies_of_items_that_an_amendment_took() -> None:
    story = begun(step("a", prompt="?"), step("b", prompt="?"))
    for name in ("a", "b"):
        story.start(name).call(name, number=1, ends="replied").succeed(name, "yes")
    item = [
        Recorded(found.job_id, found.version, found.recorded_at,
                 replace(found.event, step="a[0]"))
        if getattr(found.event, "step", None) == "a" else found
        for found in story.stream
    ]  # fmt: skip
    version = len(item) + 1
    item.append(Recorded(JOB, version, at(version), amended(story.definition, "a")))

    def read(payload: Payload | None) -> Any:
        return {} if payload is None else payload.value or {}

    assert set(build_recording(item, read)["replies"]) == {"b"}


def test_a_crate_names_the_artifacts_that_are_there() -> None:
    left = replace(succeeded("b/m"), artifacts=(file("x", b"one"),))
    events = (left, written("c", "demo/1", b"one"), amended(DEFINITION, "b"))
    with ledger_with(record(events)) as ledger:
        source = read_source(ledger, JOB, status="interrupted", orc_version="0")
        facts = read_facts(source)
    assert facts.artifacts == {}
    assert facts.media == {"outputs/demo/1": "text/plain"}
    assert facts.outputs == {}
