"""The built-in templates, for `orc init` and for `template:` in specs; they are in `cli/templates/`."""

from __future__ import annotations

from importlib.resources import files

from orc.scheduler.core.errors import nearest

ABOUT = {
    "app": "A small program, designed, written, documented and reviewed.",
    "summarise-folder": "A summary of each text file in a folder, and a summary of all of them.",
    "extract-table": "A table of facts from texts, by a schema.",
    "review-diff": "A model's review of a repository's changes, then a human review of it.",
    "translate": "A text in several languages, corrected until it is good enough.",
    "eval": "The answers of two models to the same questions, with marks.",
}


def read_template(name: str, *, suffix: str = ".yaml") -> str:
    """The text of a built-in template, or of its recorded replies. Raises ValueError."""
    if name not in ABOUT:
        raise ValueError(f"there is no template {name!r}{nearest(name, ABOUT)}")
    return files("orc.cli").joinpath("templates", f"{name}{suffix}").read_text("utf-8")
