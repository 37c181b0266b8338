"""The specs that `orc init` begins with, and that `template:` names; they stand in `templates/`."""

from __future__ import annotations

from importlib.resources import files

from orc.scheduler.core.errors import nearest

ABOUT = {
    "app": "A small program, designed, written, documented and reviewed.",
    "summarise-folder": "A summary of each text file in a folder, and one of them all.",
    "extract-table": "A table of facts from texts, by a schema.",
    "review-diff": "A review of a repository's changes, which a person accepts.",
    "translate": "A text in several languages, corrected until it is good enough.",
    "eval": "Two models on the same questions, with their marks.",
}


def read_template(name: str, *, suffix: str = ".yaml") -> str:
    """The text of a built-in template, or of the replies beside it. Raises ValueError."""
    if name not in ABOUT:
        raise ValueError(f"there is no template {name!r}{nearest(name, ABOUT)}")
    return files("orc.cli").joinpath("templates", f"{name}{suffix}").read_text("utf-8")
