"""What a key with nothing, or something empty, behind it means: for every key of the language.

The cases are made from the examples on the pages, which have every key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.spec.model import JobSpec
from orc.scheduler.executors.site import parse_sites
from tests.docs.documents import Place, key_at, places_in, with_value
from tests.docs.test_spec_page import SPECS, write_files
from tests.fuzz.examined import examine

DATA = set("value args with env for_each matrix enum default schema parameters params".split())
"""Keys in whose values null is a value."""


def cases(new: Any) -> Iterator[tuple[Place, Any, Any]]:
    """For each key of the language, an example that has it, and the same with another value."""
    seen: set[tuple[str, str]] = set()
    for block in SPECS:
        document = yaml.safe_load(block.text)
        for place in places_in(document):
            key = key_at(place)
            if key not in seen and not is_data(place):
                seen.add(key)
                yield place, document, with_value(document, place, new)


def is_data(place: Place) -> bool:
    """Whether the place is inside of data, or null says there that a server needs no key."""
    is_key = place[0] == "servers" and place[-1] == "key"
    return bool(DATA.intersection(map(str, place[:-1]))) or place[-1] == "value" or is_key


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples name."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems_of(document: Any, folder: Path) -> list[str] | None:
    """The problems of the document as a spec; none when it can be planned and drawn."""
    path = folder / "spec.yaml"
    path.write_text(json.dumps(document, indent=1), "utf-8")
    return examine(path)


def test_a_key_with_nothing_behind_it_is_refused_where_it_stands(folder: Path) -> None:
    schema = Draft202012Validator(JobSpec.model_json_schema())
    kept = []
    for place, document, changed in cases(None):
        problems = problems_of(changed, folder)
        pairs = zip(_lines(document), _lines(changed), strict=False)
        line = next(number for number, (old, new) in enumerate(pairs, 1) if old != new)
        if problems is None:
            kept.append(place)
        else:
            assert any(f"spec.yaml:{line}:" in found for found in problems), (place, problems)
            assert "None" not in "".join(problems), (place, problems)
        assert schema.is_valid(changed) <= (problems is None or place[-1] == "default"), place
    assert kept == []


def test_null_is_a_value_in_data_and_of_variables_and_parameters(folder: Path) -> None:
    for steps in (
        {"a": {"value": None}},
        {"a": {"value": [None, {"b": None}]}},
        {"a": {"run": "true", "env": {"CI": None}}},
        {"a": {"python": "m:f", "args": {"b": None}}},
        {"a": {"for_each": [None], "value": 1}},
        {"a": {"matrix": {"b": [None]}, "value": 1}},
        {"a": {"prompt": "b", "params": {"top_p": None, "ollama": {"mirostat": None}}}},
    ):
        assert problems_of({"project": "p", "steps": steps, "env": {"CI": None}}, folder) is None


@pytest.mark.parametrize("new", ["", [], {}, [None]], ids=repr)
def test_an_empty_value_is_refused_or_plans(new: Any, folder: Path) -> None:
    for _, _, changed in cases(new):
        problems_of(changed, folder)


def _lines(document: Any) -> list[str]:
    return json.dumps(document, indent=1).splitlines()


SITE: dict[str, Any] = {
    "local": {"cpu": 8},
    "c": {
        "engine": "dask",
        "address": "tls://head:8786",
        "tls": {"ca": "ca", "cert": "cert", "key": "key"},
        "insecure": False,
        "files": "ship",
        "lease": "30s",
        "keep": "1d",
    },
    "d": {"engine": "dask", "scheduler_file": "scheduler.json"},
}


@pytest.mark.parametrize("place", [*places_in({"executors": SITE})], ids=str)
def test_a_key_of_the_site_file_with_nothing_behind_it_is_refused(place: Place) -> None:
    site = {"executors": SITE}
    parse_sites(json.dumps(site), path=Path("/executors.yaml"))
    with pytest.raises(SpecError) as refused:
        parse_sites(json.dumps(with_value(site, place, None)), path=Path("/executors.yaml"))
    assert len(refused.value.problems) == 1
    assert "None" not in str(refused.value)
