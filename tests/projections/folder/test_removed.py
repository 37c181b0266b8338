"""After any blobs are removed, a job verifies, and its tables and its run folder can be made again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orc.ledger import Ledger, Payload
from orc.ledger.digest import canonical_json, digest_bytes
from orc.ledger.events import JobSubmitted
from orc.ledger.removal import blobs_of_job, remove_blobs
from orc.ledger.transport.bundle import import_job, write_bundle
from orc.ledger.transport.untrusted import open_bundle
from orc.projections import Publisher, ReadModel, Verifier
from orc.projections.folder.run_folder import expected_files
from tests.builders import JOB
from tests.projections.support import Story, ledger_of, open_in, stories, tables

AT = "2026-01-02T03:04:05.000006Z"
_COMMON: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
_quick = settings(max_examples=12, **_COMMON)
_long = settings(max_examples=300, **_COMMON)


def _with_spec_in_a_blob(story: Story) -> None:
    """Store the spec in a blob, as it is for a large spec."""
    first = story.stream[0]
    assert isinstance(first.event, JobSubmitted)
    content = canonical_json(first.event.spec.value).encode()
    spec = Payload(sha256=digest_bytes(content), size_bytes=len(content))
    story.stream[0] = first._replace(event=replace(first.event, spec=spec))
    story.blobs.append(content)


def _remove(ledger: Ledger, picks: Iterable[int]) -> set[str]:
    named = sorted(blobs_of_job(ledger.connection, JOB))
    chosen = {named[pick % len(named)] for pick in picks} if named else set()
    remove_blobs(ledger, {JOB: chosen}, cause="redact", at=AT)
    return chosen


def _problems(ledger: Ledger, folder: Path | None = None) -> tuple[str, ...]:
    verifier = Verifier(ledger)
    return (*verifier.check_job(JOB, folder=folder).problems, *verifier.check_file())


@_quick
@given(story=stories(), picks=st.lists(st.integers(0, 50), max_size=8), in_blob=st.booleans())
def test_a_job_with_removed_blobs_verifies_and_rebuilds(
    story: Story, picks: list[int], in_blob: bool
) -> None:
    _check_rebuilt(story, picks, in_blob)


def _check_rebuilt(story: Story, picks: list[int], in_blob: bool) -> None:
    if in_blob:
        _with_spec_in_a_blob(story)
    with ledger_of(story) as ledger:
        before = expected_files(ledger, JOB).files
        chosen = _remove(ledger, picks)
        folder = ledger.path.parent / "out"
        Publisher(ledger, JOB, folder).publish()
        assert _problems(ledger, folder) == ()
        after = expected_files(ledger, JOB)
        for path, digest in before.items():
            is_there = after.files.get(path) == digest
            assert is_there != (path in after.lost) or path in ("events.jsonl", "manifest.json")
        assert all(lost.blobs & chosen for lost in after.lost.values())
        assert json.loads((folder / "manifest.json").read_text())["ledger_head"]["version"] == (
            ledger.head(JOB).version
        )
        live = tables(ledger)
        ledger.rebuild()
        assert tables(ledger) == live


@_quick
@given(story=stories(), picks=st.lists(st.integers(0, 50), max_size=4), in_blob=st.booleans())
def test_a_bundle_of_a_job_with_removed_blobs_is_imported_unchanged(
    story: Story, picks: list[int], in_blob: bool
) -> None:
    _check_imported(story, picks, in_blob)


def _check_imported(story: Story, picks: list[int], in_blob: bool) -> None:
    if in_blob:
        _with_spec_in_a_blob(story)
    with ledger_of(story) as ledger:
        _remove(ledger, picks)
        folder = ledger.path.parent
        write_bundle(ledger, JOB, folder / "job.orc", projector=ReadModel())
        (folder / "there").mkdir()
        with open_in(folder / "there") as there:
            with open_bundle(folder / "job.orc") as (bundle, job_id):
                versions = import_job(there, bundle, job_id, source="b", at=AT, is_trusted=False)
            assert versions == (0, ledger.head(JOB).version)
            assert there.head(JOB) == ledger.head(JOB)
            assert _problems(there) == ()
            assert tables(there) == tables(ledger)
            here, away = expected_files(ledger, JOB), expected_files(there, JOB)
            assert (here.files, set(here.lost)) == (away.files, set(away.lost))


@pytest.mark.torture
class TestForLong:
    """The same properties with many more jobs."""

    @_long
    @given(stories(), st.lists(st.integers(0, 50), max_size=8), st.booleans())
    def test_a_job_verifies_and_rebuilds(
        self, story: Story, picks: list[int], in_blob: bool
    ) -> None:
        _check_rebuilt(story, picks, in_blob)

    @_long
    @given(stories(), st.lists(st.integers(0, 50), max_size=4), st.booleans())
    def test_a_bundle_is_imported_unchanged(
        self, story: Story, picks: list[int], in_blob: bool
    ) -> None:
        _check_imported(story, picks, in_blob)
