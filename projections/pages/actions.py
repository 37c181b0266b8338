"""What the pages do besides reading and deciding, if the server was started with the functions for it.

The pages only show forms and read them. The program that started the server does what they say, as
its own commands would, and raises RequestRefused with the reason why it cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol
from weakref import WeakKeyDictionary

from msgspec import Struct

FieldKind = Literal["text", "number", "boolean", "choice", "lines", "json", "path"]


class InputField(Struct, frozen=True):
    """A field of a form for an input of a spec.

    `value` is the text that the field has at first; of a choice, the index of one of `options`, and
    empty for none. `hint` says what may be typed.
    """

    name: str
    kind: FieldKind
    type: str
    value: str
    required: bool
    description: str = ""
    hint: str = ""
    options: tuple[str, ...] = ()
    is_integer: bool = False


class SpecFile(Struct, frozen=True):
    """A spec of the folder: its path in the folder, its project, and the number of its problems."""

    name: str
    project: str
    task_description: str
    problems: int


class SpecForm(Struct, frozen=True):
    """A spec to start: its text, the fields of its inputs, and its problems as lines of text."""

    name: str
    text: str
    fields: tuple[InputField, ...]
    problems: tuple[str, ...] = ()


class ForkRequest(Struct, frozen=True):
    """A fork of a job: from which step it runs again, `PATH=VALUE` lines, and the texts of its fields.

    `once` is the same in each copy of one form, so that a form that is sent twice acts once.
    """

    job_id: str
    start: str | None
    sets: tuple[str, ...]
    inputs: Mapping[str, str]
    once: str


class StartRequest(Struct, frozen=True):
    """A spec of the folder to start, with the texts of its fields; `once` is as in `ForkRequest`."""

    spec: str
    inputs: Mapping[str, str]
    provider: str | None
    once: str


class PageActions(Protocol):
    """What the pages call. Each method raises RequestRefused; jobs run in processes of their own."""

    @property
    def has_specs(self) -> bool:
        """Whether there is a folder of specs."""

    def resume(self, job_id: str) -> None:
        """Continue a job."""

    def cancel(self, job_id: str, reason: str | None) -> None:
        """Cancel a job, and wait until it has ended."""

    def rerun(self, job_id: str, steps: tuple[str, ...]) -> None:
        """Run steps of a job again, with all their dependents."""

    def fork_fields(self, job_id: str) -> tuple[InputField, ...]:
        """The fields of a job's inputs, with the values of the job."""

    def fork(self, wanted: ForkRequest) -> str:
        """Make a new job that differs; its id."""

    def list_specs(self) -> list[SpecFile]:
        """The specs of the folder, by name."""

    def spec_form(self, name: str) -> SpecForm:
        """The form of a spec of the folder."""

    def start(self, wanted: StartRequest) -> str:
        """Start a spec of the folder as a job; its id."""


_actions: WeakKeyDictionary[Any, PageActions] = WeakKeyDictionary()


def allow_actions(datasette: Any, actions: PageActions) -> None:
    """Let the pages of this Datasette act by these functions."""
    _actions[datasette] = actions


def actions_of(datasette: Any) -> PageActions | None:
    """What `allow_actions` was given; None if the pages only read."""
    return _actions.get(datasette)
