"""A run folder that was published while its job ran equals an export and a rebuild, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orc.ledger import Ledger
from orc.ledger.events import JobResumed
from orc.projections import Publisher
from orc.projections.verify import verify_job
from tests.builders import JOB
from tests.projections.contained import contained_stories
from tests.projections.support import Story, ledger_of

_few = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
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
        publisher.publish(final=kind == "final", before_run=kind == "new")
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
