"""The table of step kinds is complete, and its statuses are those that the tables store."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from orc.ledger import kinds
from orc.ledger.definition import StepDef
from orc.ledger.kinds import KIND_OF_KEY, KINDS, OUTER_SHAPES, Kind, facts_of, names_where, sql_list
from orc.projections.tables.binding import Statement
from orc.projections.tables.columns import table_of
from orc.projections.tables.statements import STATEMENTS
from orc.scheduler.core.spec.model import StepSpec, kind_of

ROOT = Path(__file__).parents[2]
SORTS = (*(name for name, hint in get_type_hints(Kind).items() if hint is bool), "is_container")
STORED = re.compile(r"\b(?:\w+\.)?status (?:=|IN \(|<>) ?'([^']*)'((?:, '[^']*')*)")


def texts_of_the_sources() -> Iterator[str]:
    for folder in ("ledger", "projections", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text("utf-8")
            if "status" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def keys_of_the_spec() -> set[str]:
    return {*StepSpec.model_fields}


def test_kinds_has_exactly_the_kinds_and_shapes_of_definitions() -> None:
    assert {*KINDS} == {*get_args(kinds.StepKind), *get_args(kinds.Shape)}
    assert {*KIND_OF_KEY.values()} == {*get_args(kinds.StepKind)}
    assert [name for name in OUTER_SHAPES if name not in StepDef.__struct_fields__] == []


def test_the_keys_of_each_kind_are_keys_of_a_step() -> None:
    for kind in KINDS.values():
        assert {*kind.marks, *kind.takes} <= keys_of_the_spec(), kind.name


@pytest.mark.parametrize("key", KIND_OF_KEY)
def test_a_step_has_the_kind_of_its_key(key: str) -> None:
    assert kind_of(StepSpec.model_construct({key})) == KIND_OF_KEY[key]


def test_a_step_without_a_key_or_with_two_has_no_kind() -> None:
    assert kind_of(StepSpec.model_construct(set())) is None
    assert kind_of(StepSpec.model_construct({"run", "value"})) is None


def test_an_unknown_kind_has_no_facts() -> None:
    found = facts_of("unknown")
    true = [name for name in (*SORTS, "does_work", "has_own_output") if getattr(found, name)]
    assert true == []


def test_each_kind_has_exactly_one_behaviour() -> None:
    for kind in KINDS.values():
        assert sum(getattr(kind, sort) for sort in SORTS) == 1, kind.name
    assert sorted(name for sort in SORTS for name in names_where(sort)) == sorted(KINDS)


def text_of(statement: Statement) -> str:
    """A statement as SQL, without the values that a handler binds."""
    if isinstance(statement, str):
        return statement
    return statement.text([table_of(statement.row_type).key])


def test_each_status_in_sql_is_in_the_table() -> None:
    known = {
        *get_args(kinds.StepStatus),
        *get_args(kinds.JobStatus),
        *kinds.ATTEMPT_STATUSES,
        *kinds.CALL_STATUSES,
        *kinds.TOOL_STATUSES,
        *kinds.CIRCUIT_STATUSES,
        *kinds.BATCH_STATUSES,
        kinds.REMOVED,
    }
    found = {
        name
        for statement in [*map(text_of, STATEMENTS.values()), *texts_of_the_sources()]
        for first, more in STORED.findall(statement)
        for name in (first, *re.findall(r"'([^']*)'", more))
    }
    assert {"running", "in doubt", "closed", "removed", "called"} <= found
    assert found <= known


def test_the_groups_of_statuses_partition_them() -> None:
    ended = {*kinds.DONE, *kinds.NOT_DONE}
    assert {*kinds.OPEN} | ended == {*get_args(kinds.StepStatus)}
    assert not {*kinds.OPEN} & ended
    assert {*kinds.JOB_ENDED} < {*kinds.JOB_AT_REST} < {*get_args(kinds.JobStatus)}


STATUSES = {
    *get_args(kinds.StepStatus),
    *get_args(kinds.JobStatus),
    *kinds.ATTEMPT_STATUSES,
    *kinds.ANSWERED,
    kinds.CACHED,
    kinds.REMOVED,
}
GROUPED_ELSEWHERE = {
    ("cli/terminal/live_rows.py", "running waiting"): "an order, in which rows are chosen",
    ("projections/why/step.py", "failed skipped"): "the ends of a step that have causes",
    ("projections/why/texts.py", "cancelled skipped"): "grammar: `had been`, else `had`",
    ("scheduler/core/fold/containers.py", "pending running"): (
        "open steps whose first attempt can still be released"
    ),
}
_IN_TEMPLATE = re.compile(r"[(\[]((?:\s*[\"'][a-z ]+[\"']\s*,?){2,})[)\]]")


def groups_of_statuses(source: str) -> Iterator[str]:
    """The tuples, lists and sets with two statuses or more, outside of type annotations."""
    if sum(f"'{status}'" in source or f'"{status}"' in source for status in STATUSES) < 2:
        return
    nodes = [*ast.walk(ast.parse(source))]
    literal_types = {
        id(node.slice)
        for node in nodes
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal"
    }
    for node in nodes:
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and id(node) not in literal_types:
            names = {str(each.value) for each in node.elts if isinstance(each, ast.Constant)}
            if len(names & STATUSES) > 1:
                yield " ".join(sorted(names & STATUSES))


def groups_in_template(source: str) -> Iterator[str]:
    """The lists and tuples with two statuses or more in a template."""
    for found in _IN_TEMPLATE.findall(source):
        names = {*re.findall(r"[a-z ]+", found)} & STATUSES
        if len(names) > 1:
            yield " ".join(sorted(names))


def test_groups_of_statuses_are_defined_in_one_module() -> None:
    found = set()
    for folder in ("ledger", "providers", "scheduler", "projections", "cli", "orc"):
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if name != "ledger/kinds.py":
                found |= {(name, each) for each in groups_of_statuses(path.read_text("utf-8"))}
    for path in (ROOT / "projections").rglob("*.html"):
        name = path.relative_to(ROOT).as_posix()
        found |= {(name, each) for each in groups_in_template(path.read_text("utf-8"))}
    assert found - {*GROUPED_ELSEWHERE} == set(), "define the group in ledger/kinds.py"
    assert {*GROUPED_ELSEWHERE} - found == set(), "stale reasons"


@pytest.mark.parametrize(
    "source",
    [
        "_ENDED = ('succeeded', 'failed')",
        "status in {'failed', INTERRUPTED, 'cancelled'}",
        "frozenset(['in doubt', 'interrupted'])",
    ],
)
def test_the_test_of_groups_notices_a_group(source: str) -> None:
    assert [*groups_of_statuses(source)]


def test_the_test_of_groups_notices_a_group_in_a_template() -> None:
    assert [*groups_in_template('{% if status in ("failed", "cancelled") %}')] == [
        "cancelled failed"
    ]


def test_a_list_for_sql_accepts_only_plain_names() -> None:
    assert sql_list(("in doubt", "from ledger")) == "('in doubt', 'from ledger')"
    with pytest.raises(ValueError, match="is not the name of"):
        sql_list(("x'); DROP TABLE jobs; --",))
