"""`orc schema` and `orc validate` agree, except on problems that a schema cannot express."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orc.cli.jobs.caller.templates import ABOUT, read_template
from orc.scheduler.core.source.yaml_source import parse_yaml
from tests.cli.command_line import EXAMPLES, orc
from tests.docs.conftest import blocks_of

BAD = Path(__file__).parents[1] / "specs" / "bad"
GOOD = [
    *(block.text for block in blocks_of("README.md", "docs/spec.md", language="yaml")),
    *(read_template(name) for name in ABOUT),
    *(path.read_text("utf-8") for path in EXAMPLES.glob("*_spec.yaml")),
]
SEEN_BY_A_SCHEMA = {
    "bad_flow",
    "bad_targets",
    "bad_id",
    "no_project",
    "no_steps",
    "not_supported_yet",
    "unknown_job_key",
    "unknown_key",
    "wrong_types",
}
"""Bad specs whose form is wrong; of all others, what they mean is."""


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    """What `orc schema` prints."""
    document = json.loads(orc("schema").out)
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def test_the_schema_accepts_every_valid_spec(schema: Draft202012Validator) -> None:
    specs = [text for text in GOOD if "project:" in text and not text.startswith("# replies")]
    assert len(specs) > 30
    for text in specs:
        found = [
            error.message
            for error in schema.iter_errors(parse_yaml(text, source_name="spec.yaml").value)
        ]
        assert found == [], text


@pytest.mark.parametrize("name", sorted(SEEN_BY_A_SCHEMA))
def test_the_schema_refuses_what_is_wrong_in_form(schema: Draft202012Validator, name: str) -> None:
    text = (BAD / f"{name}.yaml").read_text("utf-8")
    assert not schema.is_valid(parse_yaml(text, source_name="spec.yaml").value), name


def test_every_key_is_explained(schema: Draft202012Validator) -> None:
    document: Any = schema.schema
    shapes = {"": document, **document["$defs"]}
    missing = [
        f"{name}.{key}"
        for name, shape in shapes.items()
        for key, value in shape.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]
    assert missing == []


def test_the_schema_is_json_schema_and_has_every_key_of_the_examples() -> None:
    schema = json.loads(orc("schema").out)

    assert schema["$schema"].endswith("2020-12/schema")
    assert orc("schema", "--json").out == orc("schema").out
    import yaml

    for path in EXAMPLES.glob("*.yaml"):
        if not path.name.endswith(".replay.yaml"):
            assert_fits(yaml.safe_load(path.read_text("utf-8")), schema, schema)


def test_the_schema_refuses_unknown_keys() -> None:
    schema = json.loads(orc("schema").out)

    with pytest.raises(AssertionError, match="nonsense"):
        assert_fits({"project": "x", "nonsense": 1}, schema, schema)
    with pytest.raises(AssertionError, match="project"):
        assert_fits({"task_description": "x"}, schema, schema)


def assert_fits(value: object, schema: dict[str, object], root: dict[str, object]) -> None:
    """Check the value against the part of JSON Schema that the document uses: keys and types."""
    names: dict[str, type | tuple[type, ...]] = {
        "object": dict, "array": list, "string": str, "integer": int,
        "number": (int, float), "boolean": bool, "null": type(None),
    }  # fmt: skip
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found: object = root
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(found, dict)
            found = found[part]
        assert isinstance(found, dict)
        assert_fits(value, found, root)
    choices = schema.get("anyOf")
    if isinstance(choices, list):
        assert any(_fits(value, choice, root) for choice in choices), value
    kind = schema.get("type")
    if isinstance(kind, str):
        assert isinstance(value, names[kind]), (value, kind)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        assert isinstance(properties, dict)
        required = schema.get("required", [])
        assert isinstance(required, list)
        assert set(required) <= set(value), required
        for key, item in value.items():
            assert key in properties or others is not False, key
            of_key = properties.get(key, others)
            if isinstance(of_key, dict):
                assert_fits(item, of_key, root)
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, dict):
        for item in value:
            assert_fits(item, items, root)


def _fits(value: object, schema: dict[str, object], root: dict[str, object]) -> bool:
    try:
        assert_fits(value, schema, root)
    except AssertionError:
        return False
    return True


def test_the_schema_is_written_beside_specs_and_an_older_one_is_replaced(here: Path) -> None:
    printed = orc("schema").out
    assert orc("schema", "-o", here).code == 0
    beside = here / "orc.schema.json"
    assert beside.read_text() == printed
    beside.write_text('{"title": "orc spec", "properties": {}}')
    said = orc("schema", "--output", "orc.schema.json", "--json")
    assert said.json() == {"file": str(beside)}
    assert beside.read_text() == printed


@pytest.mark.parametrize("content", ["{}", "[1]", "mine", '{"title": "mine"}', "[" * 100_000])
def test_a_file_that_is_no_schema_of_orc_is_kept(here: Path, content: str) -> None:
    (here / "mine.json").write_text(content)
    said = orc("schema", "-o", "mine.json")
    assert said.code == 2
    assert "mine.json exists already" in said.err
    assert (here / "mine.json").read_text() == content


def test_a_schema_is_a_json_file(here: Path) -> None:
    said = orc("schema", "-o", "schema.yaml")
    assert said.code == 2
    assert "name a .json file, or a folder" in said.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", sorted(ABOUT))
def test_a_starter_spec_names_the_schema_that_lies_beside_it(here: Path, name: str) -> None:
    assert orc("init", name).code == 0
    first, _, rest = (here / f"{name}.yaml").read_text().partition("\n")
    assert first == "# yaml-language-server: $schema=orc.schema.json"
    assert rest == read_template(name)
    schema = Draft202012Validator(json.loads((here / "orc.schema.json").read_text()))
    assert schema.is_valid(parse_yaml(rest, source_name="spec.yaml").value)
    assert orc("validate", f"{name}.yaml").code == 0


def test_a_dash_is_stdout_for_the_schema_and_nothing_for_starter_specs(here: Path) -> None:
    assert orc("schema", "-o", "-").out == orc("schema").out
    said = orc("init", "eval", "--to", "-")
    assert said.code == 2
    assert "--to -: several files are written; name one, or a folder" in said.err
    assert not list(here.glob("*"))
