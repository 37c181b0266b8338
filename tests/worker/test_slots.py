"""A task of the engine that performs one copy after another."""

from __future__ import annotations

import threading

import pytest

from orc.worker import dask_slots
from orc.worker.dask_slots import Slots


def test_a_slot_takes_one_copy_each_time_that_it_is_open() -> None:
    slots = Slots()
    slot = slots.add("task")
    assert not slots.offer("task", b"early")
    assert slot.open()
    assert slots.offer("task", b"first")
    assert not slots.offer("task", b"too many")
    assert slot.next() == b"first"
    assert not slots.offer("task", b"while it runs")
    assert slot.open()
    assert slots.offer("task", b"second")
    assert slot.next() == b"second"


def test_a_slot_waits_for_a_copy_that_comes_in_time() -> None:
    slots = Slots()
    slot = slots.add("task")
    slot.open()
    came: list[bytes | None] = []
    waiting = threading.Thread(target=lambda: came.append(slot.next()))
    waiting.start()
    assert slots.offer("task", b"late")
    waiting.join()
    assert came == [b"late"]


def test_a_slot_that_nobody_wants_is_closed_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_slots, "WAIT_S", 0.001)
    slots = Slots()
    slot = slots.add("task")
    slot.open()
    assert slot.next() is None
    assert not slots.offer("task", b"too late")
    slots.remove(slot)
    assert not slots.offer("task", b"unknown")


def test_a_slot_is_given_back_to_the_engine_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_slots, "HOLD_S", 0.0)
    slots = Slots()
    slot = slots.add("task")
    assert not slot.open()
    assert not slots.offer("task", b"of one job only")
    assert slot.next() is None
