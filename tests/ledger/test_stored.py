"""Every value of a ledger's rows is checked where it is read."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import asdict

from orc.ledger.codec import row_to_recorded
from orc.ledger.errors import CorruptLedger
from orc.ledger.names import check_job_id
from orc.ledger.schema import parse_version
from orc.ledger.stored import (
    DEPTH_MAX,
    parse_json,
    parse_object,
    parse_time,
)
from tests.each_case import each_case

AT = "2026-01-02T03:04:05.000006Z"
DATA = '{"kind":"run","needs":[]}'


def _row(**changes: Any) -> tuple[Any, ...]:
    fields = {
        "position": 7,
        "job_id": "job_aaaaaaaaaaaa",
        "version": 2,
        "type": "step.started",
        "step": "a",
        "attempt": 1,
        "recorded_at": AT,
        "data": DATA,
        "hash": "0" * 64,
    }
    return tuple((fields | changes).values())


def test_an_event_that_orc_writes_is_read() -> None:
    recorded = row_to_recorded(_row())
    assert (recorded.position, recorded.version, recorded.recorded_at) == (7, 2, AT)


@each_case(
    "column, value",
    [
        ("job_id", "../../x"),
        ("job_id", "job_AAAAAAAAAAAA"),
        ("job_id", "job_aaaaaaaaaaaa\n"),
        ("job_id", None),
        ("version", "2"),
        ("version", 1),
        ("type", b"step.started"),
        ("type", "job.submitted"),
        ("step", ""),
        ("step", ".."),
        ("step", "a\0b"),
        ("step", "s" * 5000),
        ("step", 3),
        ("step", None),
        ("attempt", 2**62),
        ("attempt", -1),
        ("attempt", "1"),
        ("recorded_at", "2026"),
        ("recorded_at", "0000-01-01T00:00:00.000000Z"),
        ("recorded_at", "2026-02-31T00:00:00.000000Z"),
        ("recorded_at", "2026-13-01T00:00:00.000000Z"),
        ("recorded_at", "2026-01-01T24:00:00.000000Z"),
        ("recorded_at", 5),
        ("data", "[]"),
        ("data", "null"),
        ("data", "{"),
        ("data", ""),
        ("data", b"{}"),
        ("data", DATA + "x"),
        ("data", '{"kind":"\\ud800","needs":[]}'),
        ("data", '{"kind":"run","needs":[],"deadline_at":NaN}'),
        ("data", '{"kind":"run","needs":[],"deadline_at":1e999}'),
        ("data", '{"kind":"run","needs":[],"deadline_at":1e300}'),
        ("data", '{"kind":"run","needs":[],"x":%s}' % ("9" * 5000)),
        ("data", '{"kind":"run","needs":%s}' % ("[" * 100_000 + "]" * 100_000)),
        ("data", '{"kind":"run","needs":%s}' % ("[" * DEPTH_MAX + "]" * DEPTH_MAX)),
        ("data", '{"kind":"run","needs":[],"v":"x"}'),
        ("data", '{"kind":"run","needs":[],"v":-1}'),
        ("hash", None),
    ],
)
def test_an_event_that_orc_never_writes_is_damage(column: str, value: object) -> None:
    with pytest.raises(CorruptLedger) as raised:
        row_to_recorded(_row(**{column: value}))
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/./b", "..", "", "a\\u0000b"])
def test_a_file_outside_of_the_jobs_folder_is_damage(path: str) -> None:
    data = f'{{"path":"{path}","sha256":"{"0" * 64}","size_bytes":1,"media_type":"text/plain"}}'
    with pytest.raises(CorruptLedger, match="not inside the job's folder"):
        row_to_recorded(_row(type="file.written", data=data))


def test_a_value_from_a_model_may_be_large_and_a_count_may_not() -> None:
    output = '{"duration_s":1.0,"output":{"value":%s}}'
    row_to_recorded(_row(type="step.succeeded", data=output % ("9" * 400)))
    row_to_recorded(_row(type="step.succeeded", data=output % "[1e200]"))
    sized = '{"duration_s":1.0,"output":{"sha256":"a","size_bytes":%s}}' % (2**60)
    with pytest.raises(CorruptLedger, match="size_bytes is 1152921504606846976"):
        row_to_recorded(_row(type="step.succeeded", data=sized))


@pytest.mark.parametrize("value", ["x", "", None, 5, "9999-99-99T99:99:99.999999Z", AT[:-1]])
def test_an_invalid_time_is_damage(value: object) -> None:
    with pytest.raises(CorruptLedger, match="in place of a time"):
        parse_time(value)


@pytest.mark.parametrize("value", ["{", "", None, 5, b"\xff", "[NaN]", '"\\ud800"', "[" * 100_000])
def test_invalid_json_is_damage(value: object) -> None:
    with pytest.raises(CorruptLedger):
        parse_json(value)


def test_a_pair_of_surrogates_is_a_character_and_brackets_in_a_text_are_no_depth() -> None:
    assert parse_json('"\\ud83d\\ude00"') == "\U0001f600"
    nested = "[" * 2000
    data = f'{{"kind":"{nested}","needs":[]}}'
    assert asdict(row_to_recorded(_row(data=data)).event)["kind"] == nested


@pytest.mark.parametrize("value", ["[]", "3", "null"])
def test_another_value_in_place_of_an_object_is_damage(value: str) -> None:
    with pytest.raises(CorruptLedger, match="in place of an object"):
        parse_object(value)


@pytest.mark.parametrize("value", ["x", "", None, "-1", "9" * 5000, "\u0663"])
def test_an_invalid_version_is_damage(value: object) -> None:
    with pytest.raises(CorruptLedger, match="orc rebuild"):
        parse_version(value)


@pytest.mark.parametrize("value", ["../x", "/tmp/x", "", None, "job_" + "a" * 10_000])
def test_an_invalid_id_is_damage(value: object) -> None:
    with pytest.raises(CorruptLedger, match="is not a job id") as raised:
        check_job_id(value, where="runs.db")
    assert len(str(raised.value)) < 300
