"""What an engine is given: what a worker has room for, and why no worker ever has."""

from __future__ import annotations

import pytest

from orc.scheduler.drivers.addresses import is_loopback, is_safe
from orc.scheduler.drivers.rooms import Rooms, needs_of
from orc.scheduler.executors.capacity import Misfits, find_misfit
from orc.scheduler.executors.contract import Ticket, Work

TWO = {"a": {"cpu": 4.0, "gpu": 1.0, "slots": 2.0}, "b": {"cpu": 2.0, "big": 1.0, "slots": 2.0}}


def rooms() -> Rooms:
    made = Rooms()
    made.set_capacity(TWO)
    return made


def test_a_step_takes_its_resources_and_a_little_of_its_labels() -> None:
    resources = {"cpu": 4, "time": 7200, "gpu": 0}
    assert needs_of(resources, ("big",)) == {"cpu": 4.0, "big": 0.001}


def test_copies_are_taken_until_no_worker_has_room() -> None:
    made = rooms()
    assert made.take("1", {"cpu": 2.0})
    assert made.take("2", {"cpu": 2.0})
    assert made.take("3", {"cpu": 2.0})
    assert not made.take("4", {"cpu": 2.0})
    made.give_back("2")
    assert made.take("4", {"cpu": 2.0})


def test_a_closed_worker_takes_nothing_until_it_is_open_again() -> None:
    made = rooms()
    made.close({"a"})
    assert [made.take(str(number), {}) for number in range(4)] == [True] * 2 + [False] * 2
    assert not made.take("4", {"gpu": 1.0})
    made.close(())
    assert made.take("4", {"gpu": 1.0})


def test_a_worker_gets_no_more_copies_than_it_has_slots() -> None:
    made = rooms()
    assert [made.take(str(number), {}) for number in range(5)] == [True] * 4 + [False]


def test_many_copies_share_a_label() -> None:
    made = rooms()
    needs = needs_of({}, ("big",))
    assert [made.take(str(number), needs) for number in range(3)] == [True, True, False]
    assert sorted(made.held()) == ["0", "1"]


def test_a_copy_takes_room_where_it_asked_and_none_on_a_worker_that_left() -> None:
    made = rooms()
    assert made.take("1", {"gpu": 1.0})
    made.move("1", "b", {"gpu": 1.0})
    assert made.take("2", {"gpu": 1.0})
    made.set_capacity({"b": TWO["b"]})
    assert sorted(made.held()) == ["1"]
    made.set_capacity(TWO)
    assert made.take("3", {"gpu": 1.0})


@pytest.mark.parametrize(
    ("needs", "capacity", "said"),
    [
        ({"cpu": 4.0}, TWO, None),
        ({}, TWO, None),
        ({"cpu": 1.0}, {}, "there are no workers"),
        ({"cpu": 8.0}, TWO, "0 of 2 workers have cpu: 8"),
        ({"cpu": 8.0}, {"a": TWO["a"]}, "0 of 1 worker has cpu: 8"),
        ({"h100": 0.001}, TWO, "0 of 2 workers have h100"),
        ({"cpu": 4.0, "big": 0.001}, TWO, "no single one of 2 workers has cpu: 4, big together"),
    ],
)
def test_a_step_that_no_worker_can_ever_perform_is_told_apart(
    needs: dict[str, float], capacity: dict[str, dict[str, float]], said: str | None
) -> None:
    assert find_misfit(needs, capacity) == said


def test_a_step_that_no_worker_can_hold_is_said_once() -> None:
    said: list[str] = []
    misfits = Misfits("cluster", said.append)
    work = Work("command", resources={"gpu": 2})
    with misfits.watched(Ticket("job", "train", 1), work):
        assert said == []
        misfits.set_capacity(TWO)
        misfits.set_capacity({**TWO, "c": {"slots": 1.0}})
    with misfits.watched(Ticket("job", "train", 2), work):
        pass
    with misfits.watched(Ticket("job", "fits", 1), Work("command", resources={"gpu": 1})):
        pass
    assert said == [
        "step 'train' stays queued on the executor 'cluster': 0 of 2 workers have gpu: 2; start a "
        "worker that has it (`orc cluster worker cluster`), or change the step"
    ]


def test_an_executor_without_workers_is_said_once_and_not_for_each_step() -> None:
    said: list[str] = []
    misfits = Misfits("cluster", said.append)
    misfits.set_capacity({})
    for step in ("a", "b"):
        with misfits.watched(Ticket("job", step, 1), Work("command")):
            pass
    assert said == [
        "the executor 'cluster' has no workers; start one: `orc cluster worker cluster`"
    ]


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("tcp://127.9.9.9:1", True),
        ("tcp://[::1]:8786", True),
        ("tcp://localhost:8786", True),
        ("tcp://0.0.0.0:8786", False),
        ("tcp://localhost.example.org:8786", False),
        ("tcp://10.0.0.1:8786", False),
        ("tcp://head:8786", False),
        ("nonsense", False),
    ],
)
def test_only_addresses_of_this_machine_are_safe_without_tls(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback
    assert is_safe(address, is_insecure=False) is loopback
    assert is_safe(address, is_insecure=True)
    assert is_safe(address.replace("tcp://", "tls://"), is_insecure=False) is (
        loopback or "://" in address
    )
