"""The built-in template `app`, the steps of a spec without `steps`.

`architect` writes a design. `builder` (the program) and `docs` (its README) follow in parallel.
`qa` then reviews both files.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from orc.scheduler.core.spec.model import StepSpec
from orc.scheduler.core.spec.prompt import OutputSpec
from orc.scheduler.core.spec.resources import FileSpec

_ARCHITECT = """\
Design the following project.

Project: ${{ project }}
Task: ${{ task_description }}

Write a short design with these parts: the endpoints or commands with their input and output \
formats, the data model, and the main design decisions. The program will be a single file, \
main.py. Do not write code.\
"""

_BUILDER = """\
Write the program that the design below describes.

Project: ${{ project }}
Task: ${{ task_description }}

Design:
${{ steps.architect.output }}

Reply with the complete content of main.py in one code block, and with no other text.\
"""

_DOCS = """\
Write the README.md for the program that the design below describes. The program is a single file, \
main.py.

Project: ${{ project }}
Task: ${{ task_description }}

Design:
${{ steps.architect.output }}

Explain what the program does and how to install and run it. Show an example of each endpoint or \
command. Reply with the complete Markdown text of README.md, and with no other text.\
"""

_QA = """\
Review whether the program and README below fulfil the task.

Task: ${{ task_description }}

main.py:
${{ steps.builder.files['main.py'].content }}

README.md:
${{ steps.docs.files['README.md'].content }}

Reply with one JSON object with the keys "score" (a number from 0 to 100), "issues" (a list of \
objects with "severity", "file" and "message"), and "summary" (one sentence).\
"""


@cache
def app_steps() -> Mapping[str, StepSpec]:
    """The steps by their ids."""
    return {
        "architect": _step(
            prompt=_ARCHITECT,
            system="You are a software architect. Your designs are short and specific.",
        ),
        "builder": _step(
            prompt=_BUILDER,
            system="You are a programmer. You write complete, working programs.",
            files=[FileSpec.of_checked({"path": "main.py"})],
        ),
        "docs": _step(
            prompt=_DOCS,
            system="You are a technical writer. You write short, clear documentation.",
            files=[FileSpec.of_checked({"path": "README.md"})],
        ),
        "qa": _step(
            prompt=_QA,
            system="You are a code reviewer. You report only problems that you can locate in a file.",
            output=OutputSpec.of_checked({"format": "json"}),
        ),
    }


def _step(**fields: Any) -> StepSpec:
    return StepSpec.of_checked(fields)
