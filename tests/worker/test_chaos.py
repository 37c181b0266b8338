"""Copies that are given twice, allowed late, refused, cancelled and forgotten in any order."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.worker.engine import Copy, FakeEngine, wait_until

COPIES = 12


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_a_copy_starts_once_and_only_when_allowed(
    engine: FakeEngine, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    starts = tmp_path / "starts"
    starts.mkdir()
    copies = [
        engine.shell(
            f"echo x >> {starts}/{n}; sleep {chance.choice([0, 0.05, 60])}",
            ticket=f"job_{n % 3}/step/1",
            grace_s=0.1,
        )
        for n in range(COPIES)
    ]
    told: dict[int, list[tuple[str, dict[str, Any]]]] = {n: [] for n in range(COPIES)}

    def disturb(n: int, copy: Copy, orders: random.Random) -> None:
        copy.wait_asked()
        for _ in range(12):
            op = orders.choice(["allow", "allow", "refuse", "cancel", "forget", "again", "outcome"])
            if op == "again":
                engine.again(copy)
                continue
            fields: dict[str, Any] = {"epoch": 1} if op == "allow" else {}
            if op == "cancel":
                fields = {"grace_s": 0}
            told[n].append((op, copy.control(op, **fields)))

    threads = [
        threading.Thread(target=disturb, args=(n, copy, random.Random(seed * 100 + n)))
        for n, copy in enumerate(copies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    for copy in copies:
        # A copy that was forgotten before it was allowed is not known; all others end.
        copy.control("cancel", grace_s=0)
    for copy in engine.copies:
        copy.wait()
    for n in range(COPIES):
        path = starts / str(n)
        started = len(path.read_text().splitlines()) if path.exists() else 0
        was_allowed = any(op == "allow" and answer["ok"] for op, answer in told[n])
        assert started <= was_allowed
        # Every refusal that was confirmed holds.
        if any(op == "refuse" and answer["ok"] for op, answer in told[n]):
            assert started == 0
    for one in engine.control("census", job_id="")["copies"]:
        assert one["state"] in ("ended", "refused")
        assert engine.control("forget", ticket=one["ticket"], run=one["run"])["known"]
    wait_until(lambda: engine.spools() == [])
    wait_until(lambda: not [path for path in engine.files() if path.name == "log"])
