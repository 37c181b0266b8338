"""The listening sockets of `orc browse`: ports, and Unix sockets that only their owner can open."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

import pytest

from orc.cli.browse.sockets import address_of, listen, listen_at
from orc.cli.errors import UsageProblem
from orc.cli.jobs.own_folder import is_folder_of_job
from orc.ledger.files.exposure import VARIABLE, examine_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that only this user can change."""
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    return folder


def test_a_port_that_was_named_and_is_taken_is_refused_and_another_one_is_found() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageProblem, match=f"--port {port}: .*name another port"):
            listen(port)
        with listen(None) as first, listen(None) as second:
            assert address_of(first) != address_of(second)
            assert address_of(second).startswith("http://127.0.0.1:")


def test_the_socket_is_for_its_owner_alone_and_is_removed(folder: Path) -> None:
    mask = os.umask(0)
    try:
        made = listen_at(folder / "orc.sock")
        assert os.umask(0) == 0
    finally:
        os.umask(mask)
    with made.listener:
        assert stat.S_IMODE(os.lstat(made.path).st_mode) == 0o600
        assert address_of(made.listener) == "http://localhost:8001"
        with pytest.raises(UsageProblem, match="another server listens there"):
            listen_at(folder / "orc.sock")
    made.remove()
    assert list(folder.iterdir()) == []


def test_the_socket_of_a_dead_server_is_replaced_and_that_of_another_one_is_not_removed(
    folder: Path,
) -> None:
    dead = listen_at(folder / "orc.sock")
    dead.listener.close()
    made = listen_at(folder / "orc.sock")
    dead.remove()
    with made.listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(made.path))


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
def test_anything_else_at_the_path_is_left_alone(folder: Path, kind: str) -> None:
    path = folder / "orc.sock"
    dead = listen_at(folder / "dead.sock")
    dead.listener.close()
    match kind:
        case "file":
            path.write_text("mine")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("dead.sock")
        case "pipe":
            os.mkfifo(path)
    before = os.lstat(path)
    with pytest.raises(UsageProblem, match="not a socket of yours"):
        listen_at(path)
    assert os.lstat(path).st_ino == before.st_ino
    assert dead.path.exists()


@pytest.mark.parametrize("mode", [0o777, 0o772, 0o1777, 0o702])
def test_a_folder_in_which_others_can_write_is_refused(folder: Path, mode: int) -> None:
    for place in (folder, folder / "inside"):
        place.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(mode)
    with pytest.raises(UsageProblem, match="other users can change files in"):
        listen_at(folder / "orc.sock")
    if mode != 0o1777:
        with pytest.raises(UsageProblem, match="other users can change files in"):
            listen_at(folder / "inside" / "orc.sock")


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o770, 0o775, 0o702, 0o777, 0o1777])
@pytest.mark.parametrize("place", ["the folder", "the folder above"])
def test_one_rule_says_for_ledgers_run_folders_and_sockets_which_folder_is_ones_own(
    place: str, mode: int, trusted: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = folder / "inside"
    inside.mkdir(mode=0o700)
    (inside / "events.jsonl").write_text('{"job_id": "job", "hash": "first"}\n')
    (inside if place == "the folder" else folder).chmod(mode)
    if trusted:
        monkeypatch.setenv(VARIABLE, str(folder))
    is_own = examine_folder(inside).is_own
    assert is_folder_of_job(inside, "job", "first") == is_own
    if is_own:
        listen_at(inside / "orc.sock").listener.close()
    else:
        with pytest.raises(UsageProblem, match="other users can change files in"):
            listen_at(inside / "orc.sock")
    assert is_own or not trusted


def test_a_filesystem_without_locks_is_named_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UsageProblem, match=rf"{folder} is .* without file locks .*local disk"):
        listen_at(folder / "orc.sock")
    assert list(folder.iterdir()) == []


def test_a_path_that_cannot_be_used_is_an_error_with_advice(folder: Path) -> None:
    with pytest.raises(UsageProblem, match="make the folder first"):
        listen_at(folder / "none" / "orc.sock")
    with pytest.raises(UsageProblem, match="name another path"):
        listen_at(folder / ("long" * 40))
    (folder / "loop").symlink_to("loop")
    with pytest.raises(UsageProblem, match=r"--uds: .*loop"):
        listen_at(folder / "loop" / "orc.sock")
    (folder / "loop").unlink()
    assert list(folder.iterdir()) == []
