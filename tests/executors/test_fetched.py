"""What a worker reports is checked: an outcome, its files, their digests, sizes and paths."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from orc.scheduler.executors.contract import Lost, Ticket, Work, WorkFile, WorkOutcome
from orc.scheduler.executors.fetched import take_files
from orc.scheduler.executors.wire import BadOutcome, outcome_of, payload_of
from orc.worker.wire import Outcome, read_payload

CONTENT = b"content\n"
GOOD = {"path": "a/b.txt", "sha256": hashlib.sha256(CONTENT).hexdigest(), "size_bytes": 8}


def fetch(folder: Path, value: dict[str, Any], *parts: bytes) -> WorkOutcome:
    """What is taken of an outcome whose log and files were written by number."""
    fetched = folder / "fetched"
    fetched.mkdir()
    for number, content in enumerate(parts):
        (fetched / str(number)).write_bytes(content)
    return take_files(value, fetched, folder)


def test_files_and_artifacts_go_to_their_places(tmp_path: Path) -> None:
    value = {"exit_code": 0, "log_bytes": 3, "files": [GOOD], "artifacts": [GOOD]}
    outcome = fetch(tmp_path, value, b"log", CONTENT, CONTENT)
    assert outcome.files == outcome.artifacts
    assert (tmp_path / "log").read_bytes() == b"log"
    assert (tmp_path / "work/a/b.txt").read_bytes() == CONTENT
    assert (tmp_path / "artifacts/a/b.txt").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"path": "../b.txt"}, "path", "would leave"),
        ({"path": "/etc/passwd"}, "path", "must be relative"),
        ({"path": "a\0b"}, "path", "not allowed"),
        ({"path": ".git/config"}, "path", "git"),
        ({"path": "a"}, "path", "directory"),
        ({"size_bytes": 9}, "protocol", "size"),
        ({"sha256": "0" * 64}, "protocol", "digest"),
    ],
)
def test_nothing_is_kept_of_a_result_with_a_wrong_file(
    tmp_path: Path, change: dict[str, Any], kind: str, said: str
) -> None:
    value = {"exit_code": 0, "files": [GOOD, {**GOOD, **change}]}
    outcome = fetch(tmp_path, value, b"", CONTENT, CONTENT)
    assert outcome.broken is not None
    assert (outcome.broken.kind, outcome.exit_code, outcome.files) == (kind, None, ())
    assert said in outcome.broken.message
    assert "\0" not in outcome.broken.message
    assert not (tmp_path / "work").exists()
    assert not (tmp_path.parent / "b.txt").exists()


def test_an_outcome_whose_lease_was_over_is_lost(tmp_path: Path) -> None:
    with pytest.raises(Lost, match="the lease"):
        fetch(tmp_path, {"lost": "the lease was over"}, b"")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"exit_code": 0, "signal": "SIGKILL"},
        {"exit_code": True},
        {"exit_code": "0"},
        {"signal": "\x1b[2J"},
        {"broken": {"kind": "nonsense", "message": ""}},
        {"broken": {"kind": "timeout", "message": 3}},
        {"exit_code": 0, "stdout": "not base64!"},
        {"exit_code": 0, "stdout": 3},
        {"exit_code": 0, "log_bytes": -1},
        {"exit_code": 0, "duration_s": float("nan")},
        {"exit_code": 0, "files": {}},
        {"exit_code": 0, "files": [GOOD] * 100_001},
        {"exit_code": 0, "files": [{**GOOD, "sha256": "x" * 64}]},
        {"exit_code": 0, "files": [{**GOOD, "size_bytes": 1e30}]},
        {"exit_code": 0, "files": [{**GOOD, "mode": "0777"}]},
        {"exit_code": 0, "files": [{**GOOD, "path": 3}]},
    ],
)
def test_what_is_no_outcome_is_told_apart(value: Any, tmp_path: Path) -> None:
    with pytest.raises(BadOutcome):
        outcome_of(value)
    outcome = fetch(tmp_path, value, b"")
    assert outcome.broken is not None
    assert outcome.broken.kind == "protocol"


def test_an_outcome_of_the_agent_is_read_as_it_was_written() -> None:
    written = Outcome(exit_code=3, stdout=b"\xff", answer=b"1\n", log_bytes=7, duration_s=0.5)
    read = outcome_of(written.to_json())
    assert (read.exit_code, read.stdout, read.answer, read.log_bytes) == (3, b"\xff", b"1\n", 7)


def test_a_submission_is_read_by_the_agent_as_it_was_made() -> None:
    work = Work(
        "command",
        argv=("echo", "\u00e4"),
        env={"A": "b"},
        places={"ORC_SPEC_DIR": "spec"},
        secrets=("KEY",),
        inputs=(WorkFile("a", hashlib.sha256(CONTENT).hexdigest(), 8, "755"),),  # type: ignore[arg-type]
        timeout_s=2.5,
        resources={"cpu": 1.5},
    )
    digest = work.inputs[0].sha256
    payload = payload_of(
        Ticket("job", "step", 2), "0123abcd", work, {digest: CONTENT}, lease_s=3, keep_s=60
    )
    assert payload.isascii()
    read = read_payload(payload.encode())
    assert (read.ticket, read.run, read.argv) == ("job/step/2", "0123abcd", work.argv)
    assert (read.contents, read.lease_s, read.keep_s) == ({digest: CONTENT}, 3, 60)
    assert (read.timeout_s, read.inputs[0].mode) == (2.5, "755")
    assert base64.b64encode(CONTENT).decode() in payload
