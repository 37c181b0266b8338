"""The nodes of a job's graph, from its tables."""

from __future__ import annotations

from orc.ledger.definition import RetryDef
from orc.projections.pictures.nodes import GraphNode, nodes_of_view, top_nodes
from orc.projections.tables.job_view import read_view
from orc.scheduler.core.commands import ReuseStep
from tests.builders import JOB, reused, step
from tests.projections.support import Story, begun, ledger_of


def nodes_of(story: Story, *, is_live: bool = True) -> dict[str, GraphNode]:
    with ledger_of(story) as ledger:
        view = read_view(ledger.connection, JOB)
    return {found.id: found for found in nodes_of_view(view, is_live=is_live)}


def test_a_node_has_what_its_step_has() -> None:
    story = begun(
        step("a", prompt="?", retry=RetryDef(max_attempts=2)), step("b", needs=["a"], prompt="?")
    )
    story.start("a").fail("a", kind="timeout").start("a").succeed("a")
    nodes = nodes_of(story)

    assert nodes["a"].kind == "prompt"
    assert nodes["a"].status == "succeeded"
    assert nodes["a"].note.startswith("2 attempts, ")
    assert nodes["b"] == GraphNode("b", "prompt", "pending", ("a",), None, "")


def test_what_ran_when_nobody_runs_the_job_is_interrupted() -> None:
    story = begun(step("a", prompt="?")).start("a")

    assert nodes_of(story)["a"].status == "running"
    assert nodes_of(story, is_live=False)["a"].status == "interrupted"


def test_a_result_from_elsewhere_is_told_from_work() -> None:
    story = begun(step("a", prompt="?")).tell(ReuseStep(reused("a", output="kept")))

    assert nodes_of(story)["a"].status == "cached"
    assert nodes_of(story)["a"].note == ""


def test_what_a_step_holds_is_no_top_node() -> None:
    nodes = [GraphNode("a"), GraphNode("a[0]", parent="a"), GraphNode("orphan", parent="gone")]

    assert [found.id for found in top_nodes(nodes)] == ["a", "orphan"]
