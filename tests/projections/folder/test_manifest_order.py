"""Jobs with the same outcome have the same manifest in whatever order their steps took place."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from orc.ledger import Payload
from orc.ledger.definition import ForEachDef
from orc.projections import Manifest
from orc.projections.folder.manifest import render_manifest
from orc.projections.folder.publish import Publisher
from orc.projections.verify import verify_job
from orc.scheduler.core.commands import ExpandStep, FinishAttempt, Settle, Succeeded
from orc.scheduler.core.fold.containers import child_ids
from tests.builders import EPOCH_S, JOB, placed, step, unplaced
from tests.projections.support import Story, begun, ledger_of

VOLATILE = ("started_at", "finished_at", "duration_s", "ledger_head")
STEPS = (
    step("b", for_each=ForEachDef(items=[1, 2])),
    step("a", kind="group", steps=(step("y"), step("x"))),
    step("c", prompt="?"),
)


def played(order: tuple[str, ...]) -> Story:
    story = begun(*STEPS)
    for name in order:
        definition = next(found for found in STEPS if found.id == name)
        if name == "c":
            story.start("c").succeed("c", files={"demo/c.md": b"c", "demo/a.md": b"a"})
            continue
        story.tell(ExpandStep(name, child_ids(name, definition, ("0", "1"))))
    inner = [name for name in story.state.steps if story.state.steps[name].parent]
    for name in inner if order[0] == "a" else reversed(inner):
        story.start(name).succeed(name, files={f"demo/{name[0]}{name[-1]}{name[2]}": b"x"})
    for name in ("a", "b"):
        story.tell(FinishAttempt(name, 1, Succeeded(Payload(value=1), 1.0), now=EPOCH_S))
    return story.tell(Settle())


def manifest_of(story: Story, *, as_recorded: bool = False) -> dict[str, Any]:
    with ledger_of(story) as ledger:
        manifest = Manifest(ledger.read_payload)
        for recorded in ledger.read_stream(JOB):
            manifest.apply(recorded)
        return manifest.value(as_recorded=as_recorded)


@pytest.mark.parametrize("order", list(permutations(("a", "b", "c"))), ids="".join)
def test_the_order_of_the_manifest_does_not_depend_on_timing(order: tuple[str, ...]) -> None:
    value = manifest_of(played(order))
    assert value["completed_steps"] == ["b", "a", "c", "b[0]", "b[1]", "a/y", "a/x"]
    assert list(value["steps"]) == value["completed_steps"]
    usual = manifest_of(played(("b", "a", "c")))
    assert [file["path"] for file in value["files"]] == sorted(
        file["path"] for file in value["files"]
    )
    for key in VOLATILE:
        del value[key], usual[key]
    assert render_manifest(value) == render_manifest(usual)


def test_a_manifest_of_a_version_that_counted_no_tolerated_failures_is_not_reported() -> None:
    story = begun(step("a", continue_on_error=True)).start("a").fail("a").tell(Settle())
    older = manifest_of(story)
    assert older.pop("tolerated_failures") == {
        "total": 1,
        "by_setting": {"continue_on_error": {"exit_code": 1}},
    }
    with ledger_of(story) as ledger:
        folder = ledger.path.parent / "out"
        Publisher(ledger, JOB, folder).publish()
        (folder / "manifest.json").write_bytes(render_manifest(older))
        assert verify_job(ledger, JOB, folder=folder).problems == ()
        older["tolerated_failures"] = {"total": 2}
        (folder / "manifest.json").write_bytes(render_manifest(older))
        assert len(verify_job(ledger, JOB, folder=folder).problems) == 1


def test_a_manifest_names_the_worker_that_took_the_last_attempt() -> None:
    story = begun(step("a", executor="cluster"), step("b")).start("a", "b")
    assert "placed" not in manifest_of(story)["steps"]["a"]
    story.record(placed("a"), unplaced("a"), placed("a", run="run2", worker="w2", host="node2"))
    value = manifest_of(story.succeed("a"))
    assert value["steps"]["a"]["placed"] == {
        "executor": "cluster",
        "worker": "w2",
        "host": "node2",
    }
    assert "placed" not in value["steps"]["b"]


def test_a_manifest_of_a_version_that_named_no_workers_is_not_reported() -> None:
    story = begun(step("a", executor="cluster")).start("a")
    story.record(placed("a")).succeed("a").tell(Settle())
    older = manifest_of(story)
    del older["steps"]["a"]["placed"]
    with ledger_of(story) as ledger:
        folder = ledger.path.parent / "out"
        Publisher(ledger, JOB, folder).publish()
        (folder / "manifest.json").write_bytes(render_manifest(older))
        assert verify_job(ledger, JOB, folder=folder).problems == ()
        older["steps"]["a"]["placed"] = {"executor": "other", "worker": "w1", "host": "node1"}
        (folder / "manifest.json").write_bytes(render_manifest(older))
        assert len(verify_job(ledger, JOB, folder=folder).problems) == 1


def test_a_manifest_in_the_order_of_earlier_versions_is_not_reported_as_changed() -> None:
    story = played(("a", "b", "c"))
    older = manifest_of(story, as_recorded=True)
    assert older["completed_steps"] != manifest_of(story)["completed_steps"]
    with ledger_of(story) as ledger:
        folder = ledger.path.parent / "out"
        Publisher(ledger, JOB, folder).publish()
        (folder / "manifest.json").write_bytes(render_manifest(older))
        assert verify_job(ledger, JOB, folder=folder).problems == ()
        older["completed_steps"].reverse()
        (folder / "manifest.json").write_bytes(render_manifest(older))
        assert verify_job(ledger, JOB, folder=folder).problems == (
            "manifest.json was changed in the run folder",
        )
