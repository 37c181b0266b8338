"""What a step is made of: messages and their parts, files, models and tools."""

from __future__ import annotations

from typing import Any, Literal

from orc.ledger.digest import Digest
from orc.ledger.stored_struct import Stored

Required = Literal["no", "name", "yes"]
"""Whether something must be there for a pattern of files to capture: `no`, and nothing is said;
`name`: a name must, and a pattern without a match is a warning; `yes`: a pattern must match, too."""


class PartDef(Stored, frozen=True, kw_only=True):
    """A part of a message: a text (the template `text`), an image, or a file of any kind.

    An image and a file are either a blob (`sha256`), or the templates `image` and `file` render the
    path of a file that a step wrote; `file` can also give an input that is a file.
    """

    text: str | None = None
    image: str | None = None
    file: str | None = None
    sha256: Digest | None = None

    @property
    def path(self) -> str | None:
        """The path or template of an image or a file; None for a text."""
        return self.image if self.file is None else self.file


class MessageDef(Stored, frozen=True, kw_only=True):
    """One message of a conversation; `content` is a template or a list of parts."""

    role: Literal["system", "user", "assistant"]
    content: str | tuple[PartDef, ...]


class EmbedDef(Stored, frozen=True, kw_only=True):
    """Texts that become vectors: a template or a list of templates.

    `dimensions` is the length of the vectors; None: that of the model. A request has at most
    `per_request` texts.
    """

    texts: str | tuple[str, ...]
    dimensions: int | None = None
    per_request: int = 2048


class FileDef(Stored, frozen=True, kw_only=True):
    """A file that the step delivers: `glob`, or `path` with `content`. All are templates.

    Without `content`, the file holds the step's output as text. Jobs of earlier versions have no
    `required`: they keep its meaning of that time, `no`.
    """

    path: str | None = None
    content: str | None = None
    glob: str | None = None
    required: Required = "no"


class TargetDef(Stored, frozen=True, kw_only=True):
    """A model of a provider or named server; `base_url` is the address if the spec sets one."""

    provider: str
    model: str = ""
    base_url: str | None = None

    @property
    def server(self) -> str:
        """The key of the provider object that serves this target: one per address."""
        return f"{self.provider} at {self.base_url}" if self.base_url else self.provider

    @property
    def name(self) -> str:
        """The target's name in events and messages. Targets with equal names share a circuit."""
        at = f" at {self.base_url}" if self.base_url else ""
        return f"{self.provider}/{self.model}{at}"


class ToolDef(Stored, frozen=True, kw_only=True):
    """A tool of a prompt: a built-in one, the Python function `function`, or those of an MCP server.

    If `description` and `parameters` are None, they are read from the function's docstring
    and annotations. `allow` lists the programs that `run_command` may start; empty means any.
    `mcp` starts a server: a file beside the spec, or the words of a command. Its tools are those in
    `allow`, or all; `name` goes before their names, unless it is empty.
    """

    name: str
    function: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    allow: tuple[str, ...] = ()
    mcp: str | tuple[str, ...] | None = None
