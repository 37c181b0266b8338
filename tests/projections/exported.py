"""Shared by the tests of exports: sources of stories, and checks of the documents.

The checks follow the specifications of the formats and use no code under test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from orc.ledger.digest import digest_bytes
from orc.projections.exports.source import ExportSource, read_source
from tests.builders import JOB
from tests.projections.support import Story, ledger_of

_HEX = {16: re.compile("[0-9a-f]{16}"), 32: re.compile("[0-9a-f]{32}")}
_VALUES = {"stringValue": str, "boolValue": bool, "intValue": str, "doubleValue": float}
_SPAN_KEYS = set(
    "traceId spanId parentSpanId flags name kind startTimeUnixNano endTimeUnixNano attributes "
    "events links status".split()
)


@contextmanager
def source_of(story: Story, status: str | None = None) -> Iterator[ExportSource]:
    """The export source of a story."""
    with ledger_of(story) as ledger:
        yield read_source(
            ledger, JOB, status=status or _status(ledger.connection), orc_version="9.9"
        )


def _status(connection: Any) -> str:
    return str(connection.execute("SELECT status FROM jobs").fetchone()[0])


def check_junit(text: str) -> ET.Element:
    """The suite of a report; asserts what CI servers require."""
    assert text.isascii()
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    [suite] = root
    assert suite.tag == "testsuite"
    cases = suite.findall("testcase")
    assert [child.tag for child in suite] == ["properties"] + ["testcase"] * len(cases)
    assert suite.get("tests") == root.get("tests") == str(len(cases))
    for kind, name in (("failure", "failures"), ("skipped", "skipped")):
        assert suite.get(name) == str(sum(case.find(kind) is not None for case in cases))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp") or "")
    for case in cases:
        assert set(case.keys()) == {"name", "classname", "time"}
        assert re.fullmatch(r"\d+\.\d{3}", case.get("time") or "")
        results = [child.tag for child in case if child.tag != "system-out"]
        assert results in ([], ["failure"], ["skipped"])
        assert len(case) - len(results) <= 1
    return suite


def check_otlp(document: Any) -> list[dict[str, Any]]:
    """The spans of a document; asserts what OTLP receivers require."""
    [resource] = document["resourceSpans"]
    [scope] = resource["scopeSpans"]
    spans: list[dict[str, Any]] = scope["spans"]
    names = [found["key"] for found in resource["resource"]["attributes"]]
    assert "service.name" in names
    ids = [span["spanId"] for span in spans]
    assert len(ids) == len(set(ids))
    assert [span for span in spans if "parentSpanId" not in span] == spans[:1]
    for span in spans:
        assert set(span) <= _SPAN_KEYS
        assert span["traceId"] == spans[0]["traceId"]
        assert _HEX[32].fullmatch(span["traceId"])
        assert _HEX[16].fullmatch(span["spanId"])
        assert span.get("parentSpanId", ids[0]) in ids
        assert span["kind"] in (1, 3)
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        times = [span["startTimeUnixNano"], span["endTimeUnixNano"]]
        times += [event["timeUnixNano"] for event in span["events"]]
        assert all(isinstance(time, str) and time.isdecimal() for time in times)
        assert span["status"].get("code", 0) in (0, 2)
        assert ("error.type" in attributes(span)) == (span["status"].get("code") == 2)
        for held in (span, *span["events"], *span["links"]):
            _check_attributes(held["attributes"])
    return spans


def attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span, event or link as a mapping; of numbers, their values."""
    return {found["key"]: _value(found["value"]) for found in span["attributes"]}


def _value(value: Mapping[str, Any]) -> Any:
    [(kind, held)] = value.items()
    if kind == "arrayValue":
        return [_value(item) for item in held["values"]]
    return int(held) if kind == "intValue" else held


def _check_attributes(found: list[dict[str, Any]]) -> None:
    assert len({one["key"] for one in found}) == len(found)
    for one in found:
        [(kind, held)] = one["value"].items()
        if kind == "arrayValue":
            assert all(set(item) == {"stringValue"} for item in held["values"])
        else:
            assert type(held) is _VALUES[kind]


def check_crate(folder: Path) -> dict[str, dict[str, Any]]:
    """The entities of a crate by id; asserts that every reference exists and every digest is right."""
    document = json.loads((folder / "ro-crate-metadata.json").read_text("ascii"))
    graph: list[dict[str, Any]] = document["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    for entity in graph:
        for key in _references(entity):
            assert key in entities or key == "https://w3id.org/ro/crate/1.1", key
    root = entities["./"]
    assert entities["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert {"name", "description", "datePublished", "license"} <= set(root)
    there = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "ro-crate-metadata.json"
    }
    parts = {unquote(part["@id"]) for part in many(root["hasPart"])}
    assert parts == there
    for part in many(root["hasPart"]):
        entity = entities[part["@id"]]
        content = (folder / unquote(part["@id"])).read_bytes()
        assert "File" in many(entity["@type"])
        assert entity["sha256"] == digest_bytes(content)
        assert entity["contentSize"] == str(len(content))
        assert entity["encodingFormat"]
    _check_profile(entities)
    return entities


def _check_profile(entities: Mapping[str, dict[str, Any]]) -> None:
    workflow = entities[entities["./"]["mainEntity"]["@id"]]
    runs = [e for e in entities.values() if e["@type"] == "CreateAction"]
    assert any(run["instrument"] == {"@id": workflow["@id"]} for run in runs)
    used = {key["@id"] for run in runs for key in many(run["instrument"])}
    for entity in entities.values():
        match entity["@type"]:
            case "HowToStep":
                assert {"@id": entity["@id"]} in many(workflow["step"])
                tools = [found["@id"] for found in many(entity["workExample"])]
                assert all({"@id": tool} in many(workflow["hasPart"]) for tool in tools)
                assert set(tools) <= used
            case "ControlAction":
                assert entities[entity["instrument"]["@id"]]["@type"] == "HowToStep"
                done = [entities[key["@id"]] for key in many(entity["object"])]
                assert all(action["@type"] == "CreateAction" for action in done)
            case "CreateAction":
                is_bad = entity["actionStatus"].endswith("/FailedActionStatus")
                assert is_bad == ("error" in entity)
            case _:
                pass


def many(value: Any) -> list[Any]:
    """One value or several, as a list."""
    return value if isinstance(value, list) else [value]


def _references(value: Any) -> Iterator[str]:
    for held in value.values():
        for one in many(held):
            if isinstance(one, dict):
                yield one["@id"]
