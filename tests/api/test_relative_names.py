"""A name in a spec is relative to the file in which it is written, also in workflows and templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import orc
from orc.cli.jobs.prepare import Submission, prepare
from orc.ledger.definition import JobDef, StepDef, walk_steps
from orc.ledger.digest import digest_bytes

STEPS: Mapping[str, tuple[Mapping[str, Any], Any]] = {
    "shell": ({"run": '"$ORC_SPEC_DIR"/tool.sh'}, "tool of {here}"),
    "started_there": ({"run": "./tool.sh", "cwd": "spec"}, "tool of {here}"),
    "words": ({"run": ["./tool.sh"], "cwd": "spec"}, "tool of {here}"),
    "read": ({"run": 'cat "$ORC_SPEC_DIR/data.json"', "output": {"format": "json"}}, ["{here}"]),
    "function": ({"python": "helpers:name"}, "function of {here}"),
    "function_there": ({"python": "helpers:data", "cwd": "spec"}, ["{here}"]),
    "cached": ({"run": '"$ORC_SPEC_DIR"/tool.sh', "cache": "ledger"}, "tool of {here}"),
    "cached_function": ({"python": "helpers:name", "cache": "ledger"}, "function of {here}"),
}
"""Steps that name files, and their outputs; `{here}` is the folder of the file with the step."""

PNG = b"\x89PNG\r\n\x1a\n"
"""How a picture begins; what follows tells one from another."""

PROMPTS: Mapping[str, Mapping[str, Any]] = {
    "text": {"prompt": {"file": "ask.md"}, "system": {"file": "who.md"}},
    "default": {"prompt": "Hi."},
    "picture": {"messages": [{"role": "user", "content": [{"image": "dot.png"}, {"text": "?"}]}]},
    "tool": {"prompt": "Hi.", "tools": [{"python": "helpers:name"}]},
}

FOLDERS = {
    "outer": ".",
    "flow": "lib",
    "flow/deep": "lib/sub",
    "flow/beside": "common",
    "flow/shaped": "lib/shapes",
}
"""The folder of the file in which the steps of each group are written."""


def layout(folder: Path) -> Path:
    """A spec, its workflows and a template, each with steps that name files beside them."""
    workflows = {
        "spec.yaml": {"flow": "lib/flow.yaml"},
        "lib/flow.yaml": {
            "deep": "sub/deep.yaml",
            "beside": "../common/flow.yaml",
            "shaped": "uses.yaml",
        },
        "lib/sub/deep.yaml": {},
        "common/flow.yaml": {},
        "lib/shapes/shape.yaml": {},
    }
    for name, used in workflows.items():
        steps: dict[str, Any] = {step_id: about for step_id, (about, _) in STEPS.items()}
        steps |= PROMPTS
        steps |= {step_id: {"workflow": path} for step_id, path in used.items()}
        if name == "spec.yaml":
            members = {step_id: steps.pop(step_id) for step_id in [*STEPS, *PROMPTS]}
            steps["outer"] = {"steps": members}
        spec = {"project": "names", "steps": steps, "defaults": {"system": {"file": "who.md"}}}
        if not name.startswith("common/"):
            spec["ship"] = ["*.sh"]
        write(folder / name, yaml.safe_dump(spec))
    write(folder / "lib/uses.yaml", "project: names\ntemplate: shapes/shape.yaml\n")
    for here in FOLDERS.values():
        files = {
            "tool.sh": f"#!/bin/sh\necho tool of {here}\n",
            "data.json": f'["{here}"]\n',
            "helpers.py": "import json\n"
            f"def name(): return 'function of {here}'\n"
            "def data(): return json.load(open('data.json'))\n",
            "ask.md": f"asks {here}",
            "who.md": f"is {here}",
        }
        for name, text in files.items():
            write(folder / here / name, text)
        (folder / here / "dot.png").write_bytes(PNG + here.encode())
        (folder / here / "tool.sh").chmod(0o755)
    return folder / "spec.yaml"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def placed(value: Any, here: str) -> Any:
    """The expected output of a step that is written in this folder."""
    if isinstance(value, list):
        return [placed(item, here) for item in value]
    return str(value).format(here=here)


def without_prompts(spec: Path) -> None:
    """Leave the prompts out, so that the job calls no model."""
    for path in spec.parent.rglob("*.yaml"):
        document = yaml.safe_load(path.read_text("utf-8"))
        for owner in (document, (document.get("steps") or {}).get("outer", {})):
            if "steps" in owner:
                kept = {key: step for key, step in owner["steps"].items() if key not in PROMPTS}
                owner["steps"] = kept
        path.write_text(yaml.safe_dump(document), "utf-8")


def test_code_is_found_beside_the_file_with_the_step(tmp_path: Path) -> None:
    spec = layout(tmp_path)
    without_prompts(spec)
    job = orc.run(spec)
    assert job.status == "succeeded", job.failures
    for group, here in FOLDERS.items():
        outputs: Any = job.outputs
        for name in group.split("/"):
            outputs = outputs[name]
        found = {step_id: outputs[step_id] for step_id in STEPS}
        expected = {step_id: placed(value, here) for step_id, (_, value) in STEPS.items()}
        assert found == expected, group


@pytest.fixture
def definition(tmp_path: Path) -> JobDef:
    """The job as it is recorded."""
    return prepare(Submission(path=layout(tmp_path)), {})[1]


def found_in(definition: JobDef, group: str, step_id: str) -> StepDef:
    found = definition.step(f"{group}/{step_id}")
    assert found is not None
    return found


@pytest.mark.parametrize("group", FOLDERS)
def test_texts_and_pictures_are_read_beside_the_file_with_the_step(
    definition: JobDef, group: str
) -> None:
    here = FOLDERS[group]
    text = found_in(definition, group, "text")
    assert (text.messages[0].content, text.system) == (f"asks {here}", f"is {here}")
    assert found_in(definition, group, "default").system == f"is {here}"
    (message,) = found_in(definition, group, "picture").messages
    assert not isinstance(message.content, str)
    assert message.content[0].sha256 == digest_bytes(PNG + here.encode())


@pytest.mark.parametrize("group", FOLDERS)
def test_the_functions_of_tools_are_sought_beside_the_file_with_the_step(
    definition: JobDef, group: str
) -> None:
    folder = "" if FOLDERS[group] == "." else FOLDERS[group]
    assert found_in(definition, group, "tool").folder == folder


def test_each_file_ships_what_lies_beside_it(definition: JobDef) -> None:
    assert [file.path for file in definition.ship] == [
        "lib/shapes/tool.sh",
        "lib/sub/tool.sh",
        "lib/tool.sh",
        "tool.sh",
    ]


def test_a_remote_step_gets_the_part_of_the_spec_folder_to_which_it_belongs(
    tmp_path: Path,
) -> None:
    write(tmp_path / "spec.yaml", "project: p\nsteps: {flow: {workflow: lib/flow.yaml}}\n")
    flow = "project: p\nship: [tool.sh]\nsteps: {a: {run: 'true', executor: far, cwd: spec}}\n"
    write(tmp_path / "lib/flow.yaml", flow)
    write(tmp_path / "lib/tool.sh", "")
    definition = prepare(Submission(path=tmp_path / "spec.yaml"), {})[1]
    (step,) = [one for one in walk_steps(definition.steps) if one.kind == "run"]
    assert (step.folder, step.cwd, definition.ship[0].path) == ("lib", "spec", "lib/tool.sh")


@pytest.mark.parametrize(
    "flow", ["steps: {a: {run: 'true', executor: far}}", "ship: [tool.sh]\nsteps: {a: {value: 1}}"]
)
def test_what_lies_outside_of_the_spec_folder_cannot_travel(tmp_path: Path, flow: str) -> None:
    write(tmp_path / "in/spec.yaml", "project: p\nsteps: {flow: {workflow: ../flow.yaml}}\n")
    write(tmp_path / "flow.yaml", f"project: p\n{flow}\n")
    write(tmp_path / "tool.sh", "")
    with pytest.raises(orc.SpecError, match=r"outside of the spec's folder"):
        prepare(Submission(path=tmp_path / "in/spec.yaml"), {})


def test_files_of_a_command_that_starts_in_the_spec_folder_are_captured_from_the_working_folder(
    tmp_path: Path,
) -> None:
    write(tmp_path / "make.sh", '#!/bin/sh\necho made > "$1/out.txt"\nls\n')
    (tmp_path / "make.sh").chmod(0o755)
    spec = """\
project: p
steps:
  make: {run: ./make.sh "$ORC_WORK_DIR", cwd: spec, files: [out.txt]}
  use: {needs: make, run: cat "$ORC_WORK_DIR/out.txt", cwd: spec}
"""
    write(tmp_path / "spec.yaml", spec)
    job = orc.run(tmp_path / "spec.yaml")
    assert job.status == "succeeded", job.failures
    assert job.outputs["use"] == "made"
    assert "make.sh" in job.outputs["make"]
    assert list(job.files) == ["p/out.txt"]
    write(tmp_path / "spec.yaml", spec.replace(' "$ORC_WORK_DIR"', ""))
    with pytest.raises(orc.SpecError, match="captured from the working folder"):
        orc.run(tmp_path / "spec.yaml")
