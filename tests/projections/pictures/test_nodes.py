"""The nodes of a job's graph, made from the tables."""

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


def test_a_node_has_the_values_of_its_step() -> None:
    story = begun(
        step("a", prompt="?", retry=RetryDef(max_attempts=2)), step("b", needs=["a"], prompt="?")
    )
    story.start("a").fail("a", kind="timeout").start("a").succeed("a")
    nodes = nodes_of(story)

    assert nodes["a"].kind == "prompt"
    assert nodes["a"].status == "succeeded"
    assert nodes["a"].note.startswith("2 attempts, ")
    assert nodes["b"] == GraphNode("b", "prompt", "pending", ("a",), None, "")


def test_running_steps_of_a_job_without_a_process_are_interrupted() -> None:
    story = begun(step("a", prompt="?")).start("a")

    assert nodes_of(story)["a"].status == "running"
    assert nodes_of(story, is_live=False)["a"].status == "interrupted"


def test_a_reused_result_has_its_own_state() -> None:
    story = begun(step("a", prompt="?")).tell(ReuseStep(reused("a", output="kept")))

    assert nodes_of(story)["a"].status == "cached"
    assert nodes_of(story)["a"].note == ""


def test_a_step_inside_another_is_no_top_node() -> None:
    nodes = [GraphNode("a"), GraphNode("a[0]", parent="a"), GraphNode("orphan", parent="gone")]

    assert [found.id for found in top_nodes(nodes)] == ["a", "orphan"]
