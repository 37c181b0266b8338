"""Whose connection it is, from the kernel's table of connections."""

from __future__ import annotations

import sys
from typing import Any

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


@pytest.mark.parametrize(
    ("port", "user"), [(0xC001, 1000), (0xC002, 65534), (0xC003, -1), (0xC004, None)]
)
def test_the_user_at_the_other_end_is_found(port: int, user: int | None) -> None:
    assert find_user(TABLE, f"0100007F:{port:04X}", "0100007F:1F41") == user


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/net/tcp, which Linux has")
@pytest.mark.parametrize(
    ("port", "own"), [(0xC001, True), (0xC002, False), (0xC003, False), (0xC004, True)]
)
def test_only_this_user_and_root_are_own(
    port: int, own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "tcp").write_text(TABLE)
    monkeypatch.setattr(peers, "_TCP", tmp_path / "tcp")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    scope = {"client": ("127.0.0.1", port), "server": ("127.0.0.1", 8001)}
    assert is_own_user(scope) is own
    assert is_own_user({"client": None, "server": ("/a.sock", None)})
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert is_own_user(scope) is (port == 0xC004)
    monkeypatch.setenv("SUDO_UID", "1000")
    assert is_own_user(scope) is own
