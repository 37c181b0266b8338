"""The built-in template `app`, which a spec without `steps` runs.

architect -> builder and docs in parallel -> qa: a design, the program and its
README from that design, and a verdict on the program as it was written.
"""

from __future__ import annotations

from orc.scheduler.core.spec.model import FileSpec, StepSpec
from orc.scheduler.core.spec.prompt import OutputSpec

_ARCHITECT = """\
Design the following project.

Project: ${{ project }}
Task: ${{ task_description }}

Write a short design: the endpoints or commands with the shape of what goes in and comes out, the \
data model, and the decisions that matter. The program will be one file, main.py. No code.\
"""

_BUILDER = """\
Write the program that this design describes.

Project: ${{ project }}
Task: ${{ task_description }}

Design:
${{ steps.architect.output }}

Answer with the complete content of main.py in one code block, and nothing else.\
"""

_DOCS = """\
Write the README.md of the program that this design describes. The program is one file, main.py.

Project: ${{ project }}
Task: ${{ task_description }}

Design:
${{ steps.architect.output }}

Say what it is, how to install and run it, and show each endpoint or command with an example. \
Answer with the complete Markdown text, and nothing else.\
"""

_QA = """\
Review the program below against its task.

Task: ${{ task_description }}

main.py:
${{ steps.builder.files['main.py'].content }}

README.md:
${{ steps.docs.files['README.md'].content }}

Answer with a JSON object: "score" (0 to 100), "issues" (a list of objects with "severity", "file" \
and "message"), and "summary" (one sentence).\
"""

APP_STEPS: dict[str, StepSpec] = {
    "architect": StepSpec(
        system="You are a software architect. You are brief and concrete.", prompt=_ARCHITECT
    ),
    "builder": StepSpec(
        system="You are a programmer. You write complete, working programs.",
        prompt=_BUILDER,
        files=[FileSpec(path="main.py")],
    ),
    "docs": StepSpec(
        system="You are a technical writer. You write for people in a hurry.",
        prompt=_DOCS,
        files=[FileSpec(path="README.md")],
    ),
    "qa": StepSpec(
        system="You are a reviewer. You report what you can point to.",
        prompt=_QA,
        output=OutputSpec(format="json"),
    ),
}
