"""Whose connection it is, from the kernel's table of connections."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orc.cli.browse import peers
from orc.cli.browse.peers import find_user, is_own_user

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 5 1 0
   1: 0100007F:C001 0100007F:1F41 01 00000000:00000000 00:00000000 00000000  1000        0 6 1 0
   2: 0100007F:C002 0100007F:1F41 01 00000000:00000000 00:00000000 00000000 65534        0 7 1 0
   3: 0100007F:C003 0100007F:1F41 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0
   4: 0100007F:1F41 0100007F:C004 01 00000000:00000000 00:00000000 00000000  1000        0 8 1 0
"""
MAPPED = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 0000000000000000FFFF00000100007F:C005 0000000000000000FFFF00000100007F:1F41 01 00000000:00000000 \
00:00000000 00000000 65534        0 9 1 0
"""


@pytest.mark.parametrize(
    ("port", "user"),
    [(0xC001, 1000), (0xC002, 65534), (0xC003, -1), (0xC004, None), (0xC005, 65534)],
)
def test_the_user_at_the_other_end_is_found(port: int, user: int | None) -> None:
    assert find_user(TABLE + MAPPED, f"0100007F:{port:04X}", "0100007F:1F41") == user


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, Path]:
    """The tables of the kernel; user 1000 runs the server."""
    found = tmp_path / "tcp", tmp_path / "tcp6"
    found[0].write_text(TABLE)
    found[1].write_text(MAPPED)
    monkeypatch.setattr(peers, "_TABLES", found)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return found


SERVER = ("127.0.0.1", 8001)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads tables that Linux has")


@on_linux
@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("port", "own"),
    # The kernel has no row of 0xC004 any more: the client has reset the connection.
    [(0xC001, True), (0xC002, False), (0xC003, False), (0xC004, False), (0xC005, False)],
)
def test_only_this_user_and_root_are_own(
    port: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = {"client": ("127.0.0.1", port), "server": SERVER}
    assert is_own_user(scope) is own
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert not is_own_user(scope)
    monkeypatch.setenv("SUDO_UID", "1000")
    assert is_own_user(scope) is own


@on_linux
@pytest.mark.usefixtures("tables")
def test_a_connection_whose_client_has_no_address_any_more_is_not_own() -> None:
    assert not is_own_user({"client": None, "server": SERVER})
    assert is_own_user({"client": None, "server": ("/a.sock", None)})


@on_linux
def test_where_the_tables_do_not_show_the_server_nothing_is_refused(
    tables: tuple[Path, Path],
) -> None:
    scope = {"client": ("127.0.0.1", 0xC002), "server": SERVER}
    for path in tables:
        path.write_text(TABLE.splitlines()[0])
    assert is_own_user(scope)
    tables[0].unlink()
    assert is_own_user(scope)
