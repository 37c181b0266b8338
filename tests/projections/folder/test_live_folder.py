"""A run folder that was published while its job ran equals an export and a rebuild, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orc.ledger import Ledger, Payload
from orc.ledger.digest import digest_bytes
from orc.ledger.events import JobAmended, JobResumed, JobSubmitted
from orc.ledger.removal import blobs_of_job, remove_blobs
from orc.projections import Publisher
from orc.projections.folder.manifest import Manifest
from orc.projections.folder.removed_files import remove_files
from orc.projections.folder.run_folder import expected_files
from orc.projections.money.prices import NO_PRICES
from orc.projections.verify import verify_job
from orc.scheduler.core.commands import AmendJob, ExpandStep, InterruptJob, ReuseStep
from orc.scheduler.core.fold.containers import child_ids
from tests.builders import JOB, amended, at, job, reused, step
from tests.projections.contained import contained_stories
from tests.projections.support import Story, begun, ledger_of, tables

_COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
_few = settings(max_examples=12, **_COMMON)
_many = settings(max_examples=1000, **_COMMON)
AT = at(1000.0)
Visits = Sequence[tuple[int, str]]
_visits = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(("live", "new", "final"))), max_size=8
)


def files_in(folder: Path) -> dict[str, bytes]:
    """The bytes of every file of a folder, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> dict[str, object]:
    """The entries that differ, in both, by path."""
    names = sorted(one.keys() | other.keys())
    return {
        name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
    }


def publish_in_parts(ledger: Ledger, story: Story, folder: Path, visits: Visits) -> Publisher:
    """Append the story and publish at some versions: live, by a new owner, or at an end.

    An owner also publishes before it resumes the job, as in a run.
    """
    publisher = Publisher(ledger, JOB, folder)
    ledger.append_blobs(story.blobs)
    done = 0
    total = len(story.stream)
    chosen = [(1 + cut % total, kind) for cut, kind in visits]
    chosen += [
        (recorded.version - 1, "new")
        for recorded in story.stream
        if isinstance(recorded.event, JobResumed)
    ]
    for version, kind in sorted(chosen):
        ledger.append(story.stream[done:version])
        done = version
        if kind == "new":
            publisher = Publisher(ledger, JOB, folder)
        publisher.publish(final=kind == "final")
    ledger.append(story.stream[done:])
    publisher.publish()
    return publisher


def check_live_folder(story: Story, visits: Visits) -> None:
    with ledger_of() as ledger:
        live, export = ledger.path.parent / "live", ledger.path.parent / "export"
        publish_in_parts(ledger, story, live, visits)
        Publisher(ledger, JOB, export).publish()
        assert differing(files_in(live), files_in(export)) == {}
        problems = verify_job(ledger, JOB, folder=live).problems
        assert problems == (), problems


@_few
@given(contained_stories(), _visits)
def test_a_folder_published_while_the_job_ran_equals_an_export(
    story: Story, visits: Visits
) -> None:
    check_live_folder(story, visits)


def check_removal(story: Story, visits: Visits, picks: Sequence[int]) -> None:
    """Remove blobs as `orc redact` does; without their files, copies stay in the live folder only."""
    with_large_sources(story)
    with ledger_of() as ledger:
        live, export = ledger.path.parent / "live", ledger.path.parent / "export"
        publish_in_parts(ledger, story, live, visits)
        before = files_in(live)
        named = sorted(blobs_of_job(ledger.connection, JOB))
        chosen = {named[pick % len(named)] for pick in picks} if named else set()
        remove_blobs(ledger, {JOB: chosen}, cause="redact", at=AT)
        Publisher(ledger, JOB, live).publish()
        Publisher(ledger, JOB, export).publish()
        lost = expected_files(ledger, JOB).lost
        kept = files_in(live)
        assert {path: kept[path] for path in lost} == {path: before[path] for path in lost}
        assert verify_job(ledger, JOB, folder=live).problems == ()
        list(remove_files(ledger, JOB, chosen, live, NO_PRICES))
        Publisher(ledger, JOB, live).publish()
        assert differing(files_in(live), files_in(export)) == {}
        assert verify_job(ledger, JOB, folder=export).problems == ()
        stored = tables(ledger)
        ledger.rebuild()
        assert tables(ledger) == stored


def with_large_sources(story: Story) -> None:
    """Store the text of each spec in a blob, as it is for a large spec."""
    for place, recorded in enumerate(story.stream):
        if isinstance(recorded.event, JobSubmitted | JobAmended):
            content = b"spec of event %d" % recorded.version
            source = Payload(sha256=digest_bytes(content), size_bytes=len(content), text=True)
            event = replace(recorded.event, source=source)
            story.stream[place] = recorded._replace(event=event)
            story.blobs.append(content)


@_few
@given(contained_stories(), _visits, st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_after_a_removal_the_live_folder_equals_an_export_and_the_last_copies_stay(
    story: Story, visits: Visits, picks: list[int]
) -> None:
    check_removal(story, visits, picks)


def test_a_removed_spec_does_not_bring_back_the_one_before_it() -> None:
    story = begun(step("a", prompt="?"))
    story.tell(InterruptJob("SIGTERM"), AmendJob(amended(story.definition, "a")))
    with_large_sources(story)
    with ledger_of(story) as ledger:
        folder = ledger.path.parent / "out"
        Publisher(ledger, JOB, folder).publish()
        latest = (folder / "inputs/spec.yaml").read_bytes()
        remove_blobs(ledger, {JOB: {digest_bytes(latest)}}, cause="redact", at=AT)
        Publisher(ledger, JOB, folder).publish()
        assert (folder / "inputs/spec.yaml").read_bytes() == latest
        Publisher(ledger, JOB, ledger.path.parent / "new").publish()
        assert not (ledger.path.parent / "new/inputs/spec.yaml").exists()
        assert verify_job(ledger, JOB, folder=ledger.path.parent / "new").problems == ()


@pytest.mark.parametrize("path", ["outputs/demo/a.md", "logs/a.1.log", "inputs/spec.yaml"])
def test_a_published_file_that_a_command_changed_is_written_again_at_the_end(path: str) -> None:
    story = begun(step("a", prompt="?"), step("b", needs="a", prompt="?"))
    story.start("a").succeed("a", files={"demo/a.md": b"kept"}, log=Payload(value="kept"))
    with ledger_of(story) as ledger:
        live, export = ledger.path.parent / "live", ledger.path.parent / "export"
        publisher = Publisher(ledger, JOB, live)
        publisher.publish(final=False)
        (live / path).write_bytes(b"fake")
        publisher.publish()
        Publisher(ledger, JOB, export).publish()
        assert differing(files_in(live), files_in(export)) == {}


@pytest.mark.parametrize("path", ["events.jsonl", "manifest.json"])
def test_a_new_owner_compares_the_summaries_of_the_same_version_only_at_the_end(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = begun(step("a", prompt="?")).start("a")
    with ledger_of(story) as ledger:
        live, export = ledger.path.parent / "live", ledger.path.parent / "export"
        Publisher(ledger, JOB, live).publish()
        written = (live / path).read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(Manifest, "render", None)
            Publisher(ledger, JOB, live).publish(final=False)
        (live / path).write_bytes(b" " + written[1:])
        publisher = Publisher(ledger, JOB, live)
        publisher.publish(final=False)
        assert (live / path).read_bytes() == b" " + written[1:]
        publisher.publish()
        assert (live / path).read_bytes() == written
        for other in (b"", written[:-1], written + b"\n"):
            (live / path).write_bytes(other)
            Publisher(ledger, JOB, live).publish(final=False)
            assert (live / path).read_bytes() == written
        done = len(story.stream)
        ledger.append(story.succeed("a").stream[done:])
        Publisher(ledger, JOB, live).publish(final=False)
        Publisher(ledger, JOB, export).publish()
        assert differing(files_in(live), files_in(export)) == {}


def test_the_artifacts_and_reused_logs_of_members_that_left_leave_the_folder() -> None:
    members = (step("m"), step("n"))
    story = begun(step("all", kind="group", steps=members), step("end", prompt="?"))
    story.tell(ExpandStep("all", child_ids("all", story.definition.steps[0])))
    story.start("all/m").succeed("all/m", artifacts=(story.file("a.txt", b"a"),))
    story.tell(ReuseStep(reused("all/n", reason="cache", log=Payload(value="printed"))))
    story.tell(InterruptJob("SIGTERM"))
    with ledger_of(story) as ledger:
        live, export = ledger.path.parent / "live", ledger.path.parent / "export"
        Publisher(ledger, JOB, live).publish()
        assert {"artifacts/all.m/a.txt", "logs/all/n.reused.log"} <= files_in(live).keys()
        done = len(story.stream)
        other = job(step("all", kind="group", steps=members[:1]), step("end", prompt="?"))
        story.tell(AmendJob(amended(other, "all")))
        ledger.append(story.stream[done:])
        Publisher(ledger, JOB, live).publish(final=False)
        assert not {"artifacts/all.m/a.txt", "logs/all/n.reused.log"} & files_in(live).keys()
        Publisher(ledger, JOB, live).publish()
        Publisher(ledger, JOB, export).publish()
        assert differing(files_in(live), files_in(export)) == {}


@pytest.mark.torture
class TestForLong:
    """The same properties with many more jobs."""

    @_many
    @given(contained_stories(), _visits)
    def test_a_folder_published_while_the_job_ran_equals_an_export(
        self, story: Story, visits: Visits
    ) -> None:
        check_live_folder(story, visits)

    @_many
    @given(contained_stories(), _visits, st.lists(st.integers(0, 50), min_size=1, max_size=6))
    def test_after_a_removal_the_live_folder_equals_an_export(
        self, story: Story, visits: Visits, picks: list[int]
    ) -> None:
        check_removal(story, visits, picks)
