"""The recorded mode of a file: the same under every umask, and given back."""

from __future__ import annotations

import os
import stat

import pytest

from orc.ledger.files.folder import Folder
from orc.ledger.files.modes import bits_of, delivered_bits
from orc.worker.file_modes import kept_mode, restored_bits
from tests.each_case import each_case
from tests.other_users import shared_folder

UMASKS = (0o022, 0o077, 0o002, 0o027, 0o000)
NOBODY = 65534


@each_case("umask", UMASKS)
@each_case("asked, recorded", [(0o666, None), (0o777, "755"), (0o444, "444"), (0o555, "555")])
def test_a_mode_that_the_umask_limits_has_one_record(
    umask: int, asked: int, recorded: str | None
) -> None:
    left = asked & ~umask
    assert kept_mode(stat.S_IFREG | left, umask) == recorded
    assert restored_bits(recorded, umask) == left


@pytest.mark.parametrize("bits", [0o000, 0o400, 0o600, 0o640, 0o700, 0o711, 0o744, 0o750])
def test_a_mode_that_was_set_on_purpose_is_recorded_as_it_is(bits: int) -> None:
    assert kept_mode(bits, 0o022) == f"{bits:03o}"
    assert restored_bits(f"{bits:03o}", 0o022) == bits


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_what_is_restored_is_recorded_alike(umask: int) -> None:
    """A step that passes a file on does not change it."""
    for bits in range(0o1000):
        recorded = kept_mode(bits, 0o022)
        again = kept_mode(restored_bits(recorded, umask), umask)
        # 600 under the umask 077 may be a new file.
        assert again in (recorded, kept_mode(bits, umask))


def test_setuid_setgid_and_sticky_bits_are_never_recorded() -> None:
    for bit in (stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX):
        assert kept_mode(stat.S_IFREG | bit | 0o755, 0o022) == "755"


def test_what_orc_publishes_and_delivers_is_readable_by_its_owner() -> None:
    assert bits_of("000") == delivered_bits("000") == 0o400
    assert bits_of(None) is delivered_bits(None) is None
    for wrong in ("4755", "7", "9x9", ""):
        with pytest.raises(ValueError, match="is not a mode"):
            bits_of(wrong)
        with pytest.raises(ValueError, match="is not a mode"):
            delivered_bits(wrong)


def test_a_file_that_its_owner_may_not_read_is_read_and_keeps_its_mode() -> None:
    own = os.geteuid()
    with shared_folder() as folder:
        path = folder / "locked"
        path.write_text("content")
        path.chmod(0o040)
        if own == 0:
            # Root may read everything. Another user cannot reach the folder of the test.
            folder.chmod(0o777)
            os.chown(path, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            assert Folder(folder, private=False).open("locked") is None
            file = Folder(folder, private=False).open("locked", unlock=True)
            assert file is not None
            with file:
                assert file.read() == b"content"
                assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o040
        finally:
            os.seteuid(own)
        assert stat.S_IMODE(path.stat().st_mode) == 0o040
