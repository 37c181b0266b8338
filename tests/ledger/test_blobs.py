"""Blobs: each content is stored once under its SHA-256, as text if it is text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from orc.ledger import bounds, pack, pack_bytes, packing
from orc.ledger.digest import Digest
from orc.ledger.errors import CorruptLedger
from tests.ledger.support import JOB, open_at, rows, submitted


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "text"),
        (b"plain", "text"),
        ("z\u00fcrich \U0001f600\n".encode(), "text"),
        (b"\xef\xbb\xbfwith a mark", "text"),
        (b"with\0nul", "blob"),
        (b"\xff\xfe", "blob"),
        (b"\xed\xa0\x80", "blob"),
    ],
)
def test_a_blob_is_text_if_it_is_utf8_without_nul(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    path = tmp_path / "runs.db"
    digest = hashlib.sha256(content).hexdigest()
    with open_at(path) as store:
        store.append_blobs([content])
        assert store.read_blob(digest) == content
    assert rows(path, "SELECT sha256, typeof(content), size_bytes FROM blobs") == [
        (digest, kind, len(content))
    ]


def test_equal_bytes_are_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as store:
        store.append([submitted()], blobs=[b"same", b"same"])
        store.append_blobs([b"same", b"other"])
    assert rows(path, "SELECT count(*) FROM blobs") == [(2,)]


def test_the_error_for_a_missing_blob_names_its_digest(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as store:
        assert not store.knows_blob(Digest("0" * 64))
        with pytest.raises(CorruptLedger, match="0" * 64):
            store.read_blob("0" * 64)


def test_a_blob_over_the_limit_is_refused_and_its_event_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bounds.BLOB_BYTES_MAX == 256 * 1024 * 1024
    monkeypatch.setattr(packing, "BLOB_BYTES_MAX", 10)
    with open_at(tmp_path / "runs.db") as store:
        store.append_blobs([b"0123456789"])
        with pytest.raises(ValueError, match="a blob of 11 bytes is over the limit of 10 B"):
            store.append([submitted()], blobs=[b"small", b"0123456789A"])
        assert store.head(JOB).version == 0
        assert not store.knows_blob(Digest(hashlib.sha256(b"small").hexdigest()))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.25,
        "short",
        "long " * 500,
        [],
        {"a": [1, None]},
        ["x" * 2000],
        "\u00fc" * 600,
    ],
)
def test_a_value_comes_back_from_its_payload(tmp_path: Path, value: object) -> None:
    payload, blob = pack(value)
    assert (blob is None) == (payload.sha256 is None)
    with open_at(tmp_path / "runs.db") as store:
        store.append_blobs([] if blob is None else [blob])
        assert store.read_payload(payload) == value


@pytest.mark.parametrize("content", [b"short", b"\xff", b"line\n" * 1000, b"\0" * 2000])
def test_bytes_come_back_from_their_payload(tmp_path: Path, content: bytes) -> None:
    payload, blob = pack_bytes(content)
    with open_at(tmp_path / "runs.db") as store:
        store.append_blobs([] if blob is None else [blob])
        assert store.read_payload_bytes(payload) == content


def test_only_a_value_of_over_a_kilobyte_becomes_a_blob() -> None:
    assert pack("x" * 1024)[1] is None
    assert pack("x" * 1025)[1] == b"x" * 1025


def test_a_packed_value_has_its_keys_in_stored_order() -> None:
    payload, _ = pack({"b": {"d": 1, "c": 2}, "a": 0})
    assert json.dumps(payload.value) == '{"a": 0, "b": {"c": 2, "d": 1}}'
