"""orc accepts every spec on a page, and every spec without a model call succeeds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

import orc
from orc.cli.jobs.prepare import Submission, prepare
from orc.ledger.definition import JobDef
from orc.ledger.kinds import KIND_OF_KEY, KINDS
from orc.providers.replay import parse_replies
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.spec import model as spec_model
from orc.scheduler.core.spec.base import FileText, Strict
from orc.scheduler.core.spec.model import LATER_JOB_KEYS, LATER_STEP_KEYS, StepSpec
from orc.scheduler.core.spec.parse import parse_spec
from orc.scheduler.core.spec.prompt import ServersFile
from tests.docs.conftest import Block, blocks_of, read_page, run_shell

SPEC_PAGES = (
    *("README.md", "docs/spec.md", "docs/migration.md", "docs/start/first-job.md"),
    *(
        "docs/how-to/approvals.md",
        "docs/how-to/batches.md",
        "docs/how-to/budgets.md",
        "docs/how-to/provider.md",
    ),
    *("docs/how-to/resume.md", "docs/tutorials/nightly.md"),
)
YAML = blocks_of(*SPEC_PAGES, language="yaml")
SPECS = [block for block in YAML if re.match(r"(# .+\n)?project:", block.text)]
NOT_OFFLINE = "|".join(
    (
        *(key for kind in KINDS.values() if kind.calls_model for key in kind.marks),
        *(key for kind in KINDS.values() if kind.asks_person for key in kind.marks),
        "workflow",
    )
)
"""The keys of steps that need a model, a person, or another file."""
OFFLINE = [
    block
    for block in SPECS
    # The other pages run from top to bottom, with what belongs to their specs.
    if block.page in ("docs/spec.md", "docs/migration.md")
    and "steps:" in block.text
    and not re.search(rf"\b({NOT_OFFLINE}):|executor: cluster", block.text)
]
REVIEW = "project: review\ninputs: {text: {}}\nsteps: {a: {value: '${{ inputs.text }}'}}\n"
"""What the page's example of a workflow names."""


def test_every_yaml_block_is_a_spec_or_a_file_of_replies() -> None:
    others = [block for block in YAML if block not in SPECS]
    firsts = [block.text.splitlines()[0] for block in others]
    assert firsts == ["# replies", "# rivers.replay.yaml"]
    replies = parse_replies(yaml.safe_load(others[0].text))
    assert [reply.error is None for reply in replies.by_step["article"]] == [False, True]
    assert replies.find("note[7]", 2).text == "A note."
    assert replies.find("draft#3/write", 2).text == "A better draft."
    assert replies.find("other", 1).text == "Some text."


def test_orc_accepts_every_spec_on_a_page(tmp_path: Path) -> None:
    names = [f"{Path(block.page).stem}-{block.line}.yaml" for block in SPECS]
    for name, block in zip(names, SPECS, strict=True):
        (tmp_path / name).write_text(block.text, "utf-8")
    write_files(tmp_path)
    done = run_shell(f"orc validate {' '.join(names)}", tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": valid, ") == len(SPECS) > 15


def write_files(folder: Path) -> None:
    """The files that the examples name."""
    (folder / "scripts").mkdir()
    (folder / "notes").mkdir()
    (folder / "papers").mkdir()
    for name, text in (
        ("review.yaml", REVIEW),
        ("train.py", ""),
        ("scripts/a.sh", ""),
        ("notes/one.md", "A note.\n"),
        ("logo.png", "\x89PNG"),
        ("questions.csv", "id,question,points\nq1,What is 1+1?,2\n"),
    ):
        (folder / name).write_text(text, "utf-8")


@pytest.mark.parametrize("block", OFFLINE, ids=str)
def test_a_spec_on_a_page_without_a_model_call_succeeds(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(block.text, "utf-8")
    write_files(tmp_path)
    job = orc.run(path, db=tmp_path / "runs.db")
    assert job.status == "succeeded", job.failures


def test_the_examples_give_the_results_on_the_page(tmp_path: Path) -> None:
    by_project = {yaml.safe_load(block.text)["project"]: block for block in OFFLINE}

    def outputs(project: str, **inputs: Any) -> dict[str, Any]:
        path = tmp_path / f"{project}.yaml"
        path.write_text(by_project[project].text, "utf-8")
        return dict(orc.run(path, db=tmp_path / "runs.db", inputs=inputs).outputs)

    assert outputs("commands")["shell"] == "name: a; echo b\nagain: a; echo b"
    assert outputs("values")["result"] == {"largest": 3, "sentence": "there are 3"}
    assert outputs("failures")["report"] == "failed: exit_code"
    shown = outputs("templates")["shown"]
    assert outputs("conditions")["report"] == "many was skipped"
    assert outputs("fan_out")["all"] == "Rome: 3000 m, Oslo: 5000 m"
    assert outputs("product")["build"] == ["linux 1", "linux 2", "mac 1", "mac 2"]
    assert outputs("rounds")["halve"] == 7
    assert outputs("draft_and_judge")["end"] == "draft 2"
    assert (shown["joined"], shown["missing"], shown["plain"]) == (
        "a, b",
        "none",
        "{{ this is left alone }}",
    )


def test_every_key_of_the_language_stands_in_an_example() -> None:
    used: set[tuple[str, str]] = set()
    for block in SPECS:
        collect_keys(spec_model.JobSpec.model_validate(yaml.safe_load(block.text)), used)
    models = [
        model
        for model in Strict.__subclasses__()
        if model not in (FileText, ServersFile)
        and model.__module__.startswith("orc.scheduler.core.spec.")
    ]
    assert len(models) > 15
    every = {(model.__name__, key) for model in models for key in model.model_fields}
    assert every - used == set()


def test_the_keys_that_make_a_kind_are_named_where_a_step_is_described() -> None:
    assert re.findall(r"`(\w+)`", kinds_sentence()) == list(KIND_OF_KEY)
    about = (spec_model.StepSpec.__doc__ or "").partition("exactly one of ")[2].rstrip(".")
    assert re.split(r",\s+", about) == list(KIND_OF_KEY)


def kinds_sentence() -> str:
    """The sentence of the page that lists them."""
    [found] = re.findall(r"A step has exactly one of ([^.]*)", read_page("docs/spec.md"))
    return str(found)


@pytest.mark.parametrize("key", sorted(LATER_JOB_KEYS))
def test_a_later_key_of_a_job_is_refused_as_not_supported_yet(key: str) -> None:
    text = f"project: p\n{key}: 1\nsteps: {{a: {{value: 1}}}}\n"
    with pytest.raises(SpecError, match="not supported yet"):
        parse_spec(text)


@pytest.mark.parametrize("key", sorted(LATER_STEP_KEYS))
def test_a_later_key_of_a_step_is_refused_as_not_supported_yet(key: str) -> None:
    text = f"project: p\nsteps: {{a: {{value: 1, {key}: 1}}}}\n"
    with pytest.raises(SpecError, match="not supported yet"):
        parse_spec(text)


def collect_keys(value: Any, used: set[tuple[str, str]]) -> None:
    """Every key of the value, with the name of its mapping's model."""
    if isinstance(value, BaseModel):
        for key in value.model_fields_set:
            used.add((type(value).__name__, key))
            collect_keys(getattr(value, key), used)
    elif isinstance(value, dict):
        for item in value.values():
            collect_keys(item, used)
    elif isinstance(value, list):
        for item in value:
            collect_keys(item, used)


OVERRULED = {
    **dict.fromkeys(
        ("job", "defaults"), "cache continue_on_error executor fallback model on_unknown provider"
    ),
    "a step": "model provider",
    "budget": "on_exceeded",
    "retry": "backoff max_attempts",
}
"""Keys whose examples say what holds anyway, or what a step of the same example says otherwise."""


def test_every_key_of_the_language_changes_the_definition(tmp_path: Path) -> None:
    """A key that is parsed, and that the resolver forgets, leaves the definition as it is."""
    write_files(tmp_path)
    has_effect: dict[tuple[str, str], bool] = {}
    for block in SPECS:
        document = yaml.safe_load(block.text)
        given = definition_of(document, tmp_path)
        for path in paths_of(document) if given is not None else ():
            name = (mapping_at(path), path[-1])
            # An input has the value that is given here, whatever its default.
            if "inputs" not in path and not has_effect.get(name):
                changed = definition_of(without(document, path), tmp_path)
                has_effect[name] = changed != given
    steps = {key for where, key in has_effect if where == "a step"}
    assert steps == {field.alias or name for name, field in StepSpec.model_fields.items()}
    silent = {name for name, found in has_effect.items() if not found}
    assert {(where, key) for where, key in silent if key not in OVERRULED[where].split()} == set()


def definition_of(document: Any, folder: Path) -> JobDef | None:
    """The spec as it would be recorded; None where it is refused."""
    path = folder / "spec.yaml"
    path.write_text(json.dumps(document), "utf-8")
    given = {name: "[1]" for name, about in (document.get("inputs") or {}).items()}
    try:
        _, definition = prepare(Submission(path=path, inputs=given), {}, executor_names=None)
    except SpecError:
        return None
    return definition


def paths_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key of a document, outer ones first."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from paths_of(item, (*path, key))


def without(value: Any, path: tuple[str, ...]) -> Any:
    """A copy of the document that has not the key at the path."""
    key, *rest = path
    if not rest:
        return {name: item for name, item in value.items() if name != key}
    return {**value, key: without(value[key], tuple(rest))}


def mapping_at(path: tuple[str, ...]) -> str:
    """What a key belongs to: `a step` or `a server` for any of them, else the key of its mapping."""
    *_, owner = ("job", *path[:-1])
    around = path[-3] if len(path) > 2 else ""
    return {"steps": "a step", "servers": "a server"}.get(around, owner)
