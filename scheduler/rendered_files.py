"""The files that a step's `files` writes, as its templates make them."""

from __future__ import annotations

from msgspec import Struct

from orc.ledger.definition import FileDef
from orc.scheduler.core.paths import path_problem
from orc.scheduler.messages import render_text
from orc.scheduler.scopes import Variables


class PathProblem(Exception):
    """A path that a template produced is not allowed."""


class RenderedFile(Struct, frozen=True):
    """A file to write: its path in the project's folder, and its content if the spec has one."""

    path: str
    content: str | None


def render_file(file: FileDef, scope: Variables) -> RenderedFile:
    """The file, which has a path. Raises TemplateError, or PathProblem."""
    assert file.path is not None
    path = render_text(file.path, scope=scope)
    problem = path_problem(path)
    if problem:
        raise PathProblem(problem)
    content = file.content
    return RenderedFile(path, None if content is None else render_text(content, scope=scope))
