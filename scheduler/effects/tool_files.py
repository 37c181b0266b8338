"""The built-in tools for files: they read the job's committed files and write new ones.

A path from a model is a key in a mapping. Writing never touches the disk: the new files are kept
in memory and committed when the step succeeds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import Struct, field

from orc.ledger.digest import clean_text
from orc.ledger.events import FileRef
from orc.ledger.files.folder import Folder
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import count_text, size_text
from orc.providers import Tool
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.paths import path_problem
from orc.scheduler.effects.contract import KnownResult

FILE_BYTES_MAX = 16 * 1024 * 1024
WRITTEN_BYTES_MAX = 64 * 1024 * 1024
READ_CHARS_MAX = 100_000
LISTED_MAX = 1000

_PATH = {
    "type": "string",
    "description": "Path relative to the project's folder, with / as separator.",
}
DESCRIPTIONS: dict[str, Tool] = {
    "read_file": {
        "name": "read_file",
        "description": "Read a text file of the project. A long file is returned in parts: call "
        "the tool again with offset set to next_offset to read the next part.",
        "parameters": {
            "type": "object",
            "properties": {
                "path": _PATH,
                "offset": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Number of characters to skip. Default: 0.",
                },
            },
            "required": ["path"],
            "additionalProperties": False,
        },
    },
    "write_file": {
        "name": "write_file",
        "description": "Write a text file of the project. It replaces a file that you wrote "
        "to the same path before.",
        "parameters": {
            "type": "object",
            "properties": {"path": _PATH, "content": {"type": "string"}},
            "required": ["path", "content"],
            "additionalProperties": False,
        },
    },
    "list_files": {
        "name": "list_files",
        "description": "List the project's files with their sizes.",
        "parameters": {
            "type": "object",
            "properties": {"folder": {**_PATH, "description": "List only files in this folder."}},
            "additionalProperties": False,
        },
    },
}


class ToolMistake(Exception):
    """The model called a tool wrongly; the message is the tool's result."""


class ToolFiles(Struct):
    """The files that the model of one attempt sees.

    `committed` are those of the steps before, by their paths in the working folder; `taken` returns
    the paths that this step may not write, since other steps have written them. `disk` is the
    working folder, where commands of the model may have left other files; None without
    `run_command`. They are masked before a part of them is taken.
    """

    committed: Mapping[str, FileRef]
    taken: Callable[[], Collection[str]]
    read_blob: Callable[[FileRef], bytes]
    mask: Mask
    disk: Folder | None = None
    written: dict[str, bytes] = field(default_factory=dict)

    def call(self, name: str, arguments: Mapping[str, Any]) -> KnownResult:
        """The result of the tool. Raises ToolMistake."""
        match name:
            case "read_file":
                return KnownResult(self._read(**arguments), is_error=False)
            case "list_files":
                return KnownResult(self._list(**arguments), is_error=False)
        self._check_write(**arguments)
        self.keep(arguments)
        size = len(self.written[arguments["path"]])
        return KnownResult(f"written: {count_text(size, 'byte')}", is_error=False)

    def keep(self, arguments: Mapping[str, Any]) -> None:
        """Do what `write_file` does, without its checks."""
        self.written[arguments["path"]] = clean_text(arguments["content"]).encode()

    def _read(self, path: str, offset: int = 0) -> Any:
        content = self._content(path)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise ToolMistake(
                f"{path} is not a text file; it has {count_text(len(content), 'byte')}"
            ) from None
        part = text[offset : offset + READ_CHARS_MAX]
        if len(part) == len(text):
            return text
        end = offset + len(part)
        return {
            "text": part,
            "total_chars": len(text),
            "next_offset": end if end < len(text) else None,
        }

    def _content(self, path: str) -> bytes:
        problem = path_problem(path)
        if problem:
            raise ToolMistake(problem)
        if path in self.written:
            return self.written[path]
        file = self.committed.get(path)
        if file is not None:
            if file.size_bytes > FILE_BYTES_MAX:
                raise ToolMistake(f"{path} has more than {size_text(FILE_BYTES_MAX)}")
            return self.read_blob(file)
        found = None if self.disk is None else self.disk.read(path, size_max=FILE_BYTES_MAX)
        if found is None:
            raise ToolMistake(f"there is no file {path!r}; call list_files to list the files")
        return self.mask.data(found)

    def _list(self, folder: str = "") -> Any:
        prefix = f"{folder.strip('/')}/" if folder.strip("/.") else ""
        sizes = {path: file.size_bytes for path, file in self.committed.items()}
        if self.disk is not None:
            for path in self.disk.files():
                found = self.disk.stat(path)
                if found is not None:
                    sizes[path] = found.st_size
        sizes |= {path: len(content) for path, content in self.written.items()}
        paths = sorted(path for path in sizes if path.startswith(prefix))
        listed: dict[str, Any] = {
            "files": [
                {"path": clean_text(path), "size_bytes": sizes[path]} for path in paths[:LISTED_MAX]
            ]
        }
        if len(paths) > LISTED_MAX:
            listed["not_listed"] = len(paths) - LISTED_MAX
        return listed

    def _check_write(self, path: str, content: str) -> None:
        problem = path_problem(path)
        if problem:
            raise ToolMistake(problem)
        size = len(content.encode("utf-8", "replace"))
        if size > FILE_BYTES_MAX:
            raise ToolMistake(f"a file may have at most {size_text(FILE_BYTES_MAX)}")
        others = sum(len(kept) for name, kept in self.written.items() if name != path)
        if others + size > WRITTEN_BYTES_MAX:
            raise ToolMistake(
                f"all files that you write may have at most {size_text(WRITTEN_BYTES_MAX)} in total"
            )
        taken = self.taken()
        if path in taken:
            raise ToolMistake(f"{path} belongs to another step; choose another path")
        names = FileNames()
        for name in (*taken, *self.written):
            names.add(name)
        clash = names.clash(path)
        if clash is not None:
            raise ToolMistake(f"{path} conflicts with the file {clash}; choose another path")
