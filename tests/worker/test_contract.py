"""What the agent reads and says has the fields of the contract."""

from __future__ import annotations

import json

from msgspec import to_builtins

from orc.ledger.digest import Digest
from orc.scheduler.executors import contract
from orc.worker import wire
from orc.worker.declared import Declared
from tests.worker.engine import FakeEngine, digest

NAMES = set(contract.Work.__struct_fields__)


def as_payload(work: contract.Work) -> bytes:
    message = {"protocol": contract.PROTOCOL, "ticket": "job_a/s/1", "run": "00000001"}
    return json.dumps({**message, "work": to_builtins(work)}).encode()


def test_both_sides_have_the_same_protocol() -> None:
    assert contract.PROTOCOL == wire.PROTOCOL


def test_every_field_of_work_is_read() -> None:
    file = contract.WorkFile("a", Digest(digest(b"a")), 1, "755")
    work = contract.Work(
        kind="command",
        argv=("a", "b"),
        function="m:f",
        args={"x": [1]},
        env={"A": "1"},
        places={"P": "spec"},
        inherited=("PATH",),
        secrets=("S",),
        inputs=(file,),
        shipped=(file,),
        globs=(Declared("*", "name"),),
        folders=("f/g",),
        limits=contract.WorkLimits(1, 2, 3),
        timeout_s=4.5,
        grace_s=6.0,
        resources={"cpu": 2.0},
        labels=("a100",),
    )
    read = wire.read_payload(as_payload(work))
    found = to_builtins(read)
    expected = to_builtins(work)
    limits = expected.pop("limits")
    # The engine has placed the work by its labels.
    del expected["labels"]
    assert {name: found[name] for name in expected} == expected
    assert {name: found[name] for name in limits} == limits
    assert (read.ticket, read.job_id, read.run) == ("job_a/s/1", "job_a", "00000001")
    assert set(expected) | {"limits", "labels"} == NAMES


def test_defaults_of_work_are_the_same() -> None:
    given = contract.Work(kind="command", argv=("a",))
    least = {"protocol": wire.PROTOCOL, "ticket": "job_a/s/1", "run": "00000001"}
    bare = json.dumps({**least, "work": {"kind": "command", "argv": ["a"]}}).encode()
    assert wire.read_payload(bare) == wire.read_payload(as_payload(given))


def test_an_outcome_has_every_field_and_two_more(engine: FakeEngine) -> None:
    outcome = engine.submit(["true"]).result()
    fields = set(contract.WorkOutcome.__struct_fields__)
    # A worker judges its own deadlines: `away_s` is of local commands.
    assert set(outcome) == fields - {"away_s"} | {"lost", "cancelled"}
    made = engine.shell("echo x > a", globs=["*"], ticket="job_a/2/1").result()
    (file,) = made["files"]
    assert contract.WorkFile(**file) == contract.WorkFile("a", Digest(digest(b"x\n")), 2)
