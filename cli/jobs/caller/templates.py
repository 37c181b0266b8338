"""The built-in templates, for `orc init` and for `template:` in specs; they are in `cli/templates/`.

`NAME.yaml` is the spec, `NAME.replay.yaml` has its recorded replies, and the folder `NAME` has the
files that it reads, to try it with.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from orc.scheduler.core.errors import nearest

ABOUT = {
    "app": "A small program, designed, written, documented and reviewed.",
    "summarise-folder": "A summary of each file in a folder, and of all of them.",
    "extract-table": "A table of facts from texts, checked by a person, as CSV.",
    "eval": "The answers of several models to the questions of a table, with scores.",
    "compare-prompts": "Two prompts on the rows of a table, with scores.",
    "translate": "Pages in several languages, each corrected until it is good enough.",
    "review-diff": "A model's review of each changed file of a repository, then a human review.",
}


def read_template(name: str, *, suffix: str = ".yaml") -> str:
    """The text of a built-in template, or of its recorded replies. Raises ValueError."""
    if name not in ABOUT:
        raise ValueError(f"there is no template {name!r}{nearest(name, ABOUT)}")
    return _folder().joinpath(f"{name}{suffix}").read_text("utf-8")


def read_example_files(name: str) -> dict[str, str]:
    """The files that a built-in template reads, by their paths beside the spec, in order."""
    return dict(sorted(_texts(_folder().joinpath(name), "")))


def _folder() -> Traversable:
    return files("orc.cli").joinpath("templates")


def _texts(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _texts(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_text("utf-8")
