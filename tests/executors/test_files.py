"""Contents in pieces, with a worker that says what it wants."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

from orc.scheduler.drivers.dask_driver import DaskDriver
from orc.scheduler.drivers.dask_files import (
    PIECE_BYTES,
    fetch_copy,
    must_be_fetched,
    put_content,
)
from orc.scheduler.drivers.lines import Lines, Refused

PLACE = {"ticket": "job/step/1", "run": "0123abcd", "worker": "w"}


class Worker:
    """Answers calls; `content` is that of each of its files."""

    def __init__(self, outcome: Any, content: bytes = b"", failures: int = 0) -> None:
        self.outcome = outcome
        self.content = content
        self.failures = failures
        self.asked: list[dict[str, Any]] = []

    async def call(
        self, worker: str, request: dict[str, Any], *, timeout_s: float = 0
    ) -> dict[str, Any]:
        self.asked.append(request)
        if self.failures:
            self.failures -= 1
            raise Refused("timeout", "not in time")
        if request["op"] == "outcome":
            return {"outcome": self.outcome}
        if request["op"] == "put":
            return {"complete": request["offset"] + len(request["data"]) == request["size"]}
        start = request["offset"]
        return {"data": self.content[start : start + request["length"]]}


def fetch(worker: Any, folder: Path) -> dict[str, Any]:
    return asyncio.run(fetch_copy(worker, {**PLACE, "folder": str(folder)}))


def outcome(size: int) -> dict[str, Any]:
    return {"log_bytes": 0, "files": [{"path": "a", "size_bytes": size}], "artifacts": []}


def test_a_large_file_comes_in_pieces_and_a_lost_one_is_asked_for_again(tmp_path: Path) -> None:
    content = bytes(range(256)) * (PIECE_BYTES // 256) + b"end"
    worker = Worker(outcome(len(content)), content, failures=2)
    fetch(worker, tmp_path)
    assert (tmp_path / "1").read_bytes() == content
    lengths = [request["length"] for request in worker.asked if request["op"] == "read"]
    assert lengths == [PIECE_BYTES, 3]


def test_only_what_is_not_in_an_outcome_must_be_fetched() -> None:
    whole = {"log": "", "log_bytes": 0, "files": [], "artifacts": [], "folders": []}
    assert not must_be_fetched(whole)
    assert must_be_fetched({**whole, "log": None, "log_bytes": 100_000})
    assert must_be_fetched({**whole, "artifacts": [{"path": "a", "size_bytes": 1}]})
    assert must_be_fetched({**whole, "folders": ["empty"]})
    assert not must_be_fetched({**whole, "log": None, "lost": "the lease was over"})
    lies: list[Any] = [None, [], {}, {"log": "", "files": 3}, {**whole, "files": [{"path": "a"}]}]
    for lie in lies:
        assert must_be_fetched(lie)


def test_pieces_that_come_in_another_order_make_the_same_file(tmp_path: Path) -> None:
    class Slow(Worker):
        async def call(
            self, worker: str, request: dict[str, Any], *, timeout_s: float = 0
        ) -> dict[str, Any]:
            answer = await super().call(worker, request, timeout_s=timeout_s)
            if request.get("offset") == 0:
                for _ in range(100):
                    await asyncio.sleep(0)
            # A worker may give less than it was asked for.
            return {"data": answer["data"][:1_000_000]} if "data" in answer else answer

    content = b"".join(bytes([number]) * PIECE_BYTES for number in range(4)) + b"end"
    fetch(Slow(outcome(len(content)), content), tmp_path)
    assert (tmp_path / "1").read_bytes() == content


def test_no_more_is_taken_than_the_worker_has_said(tmp_path: Path) -> None:
    fetch(Worker(outcome(3), b"longer"), tmp_path)
    assert (tmp_path / "1").read_bytes() == b"lon"
    fetch(Worker(outcome(9), b"longer"), tmp_path)
    assert (tmp_path / "1").read_bytes() == b"longer"


def test_a_size_that_the_disk_has_no_room_for_is_refused_before_a_piece(tmp_path: Path) -> None:
    worker = Worker(outcome(1 << 61))
    with pytest.raises(Refused, match="no room") as refused:
        fetch(worker, tmp_path)
    assert refused.value.kind == "environment"
    assert [request["op"] for request in worker.asked] == ["outcome"]


def test_a_worker_that_never_answers_is_asked_three_times(tmp_path: Path) -> None:
    worker = Worker(outcome(1), failures=9)
    with pytest.raises(Refused, match="in time"):
        fetch(worker, tmp_path)
    assert len(worker.asked) == 3


def test_an_input_that_has_become_shorter_is_said(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"abc")
    request = {"worker": "w", "sha256": "0" * 64, "path": str(path), "size_bytes": 3}
    assert asyncio.run(put_content(Worker(None), request)) == {}  # type: ignore[arg-type]
    with pytest.raises(Refused, match="shorter"):
        asyncio.run(put_content(Worker(None), {**request, "size_bytes": 4}))  # type: ignore[arg-type]


def test_a_secret_does_not_travel_where_others_can_read_it() -> None:
    class Open:
        def hears_alone(self, _worker: str) -> bool:
            return False

    async def allow() -> None:
        driver = DaskDriver(Lines(-1, -1))
        driver._cluster = Open()  # type: ignore[assignment]
        request = {"id": 1, "op": "allow", **PLACE, "epoch": 1, "secrets": {"KEY": "value"}}
        await driver.answer(request)

    with pytest.raises(Refused, match="only with TLS") as refused:
        asyncio.run(allow())
    assert refused.value.kind == "insecure"
