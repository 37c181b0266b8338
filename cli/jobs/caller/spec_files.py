"""Reads the spec, and the files that it names. They are read once, at submission."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from orc.cli.errors import UsageProblem
from orc.ledger.definition import ShippedDef
from orc.ledger.digest import Digest, digest_bytes
from orc.ledger.errors import ExposedFiles
from orc.ledger.files.descriptors import is_stream, read_stream
from orc.ledger.files.exposure import examine_beside
from orc.ledger.files.written_paths import written_path
from orc.ledger.wording import size_text
from orc.scheduler.core.attached import TEXT, image_type_of, media_type_of
from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.source import SIZE_MAX

FILE_BYTES_MAX = 20 * 1024 * 1024


class SpecFiles:
    """Reads files relative to the spec's folder; `contents` has all contents read, by digest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents: dict[Digest, bytes] = {}
        self._names: dict[Digest, str] = {}

    def read_text(self, name: str) -> str:
        """The text of a file. Raises ValueError with the reason why it cannot be read."""
        content = self.contents[self.take(name)]
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise ValueError(
                f"{self.folder / name}:{line}: not UTF-8 text; save it as UTF-8"
            ) from None

    def take(self, name: str) -> Digest:
        """Read a file; the digest of its content. Raises ValueError with the reason if it cannot."""
        path = self.folder / written_path(name)
        try:
            content = _read_regular(path)
        except OSError as error:
            then = "; make it, or name another path" * (
                error.errno in (errno.ENOENT, errno.ENOTDIR)
            )
            raise ValueError(f"cannot read {path}: {error.strerror}{then}") from None
        if content is None:
            raise ValueError(f"cannot read {path}: it is not a regular file")
        if len(content) > FILE_BYTES_MAX:
            raise ValueError(f"{name} is larger than {size_text(FILE_BYTES_MAX)}")
        digest = digest_bytes(content)
        self.contents[digest] = content
        self._names[digest] = name
        return digest

    def judge(self, name: str, key: str) -> str:
        """The media type of a file of a message, by its content. Raises ValueError if none reads it."""
        content = self.contents.get(self.take(name))
        if content is None:
            return TEXT  # known from before, when it was judged
        return image_type_of(content, name) if key == "image" else media_type_of(content, name)

    def shipped(self, patterns: tuple[str, ...]) -> tuple[ShippedDef, ...] | None:
        """The files that were shipped for these patterns before; None if they must be read."""
        return None

    def named(self) -> Iterator[tuple[str, bytes]]:
        """The names and contents of all files that were read."""
        for digest, name in self._names.items():
            yield name, self.contents[digest]


def folder_beside(path: Path) -> Path:
    """The folder to which the paths in a file are relative: its own, or of a stream the current one."""
    return Path.cwd() if is_stream(path) else path.absolute().parent


def read_yaml_bytes(path: Path) -> bytes:
    """The bytes of a YAML file. Raises OSError, and SpecError if it is too large.

    A pipe or a device, which might never end, is refused, except the standard input and `<(...)`.
    These are read once; later calls return the same bytes.
    """
    content = read_stream(path, size_max=SIZE_MAX) if is_stream(path) else _read_regular(path)
    if content is None:
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if len(content) > SIZE_MAX:
        raise SpecError(str(path), [Problem(f"the file is larger than {size_text(SIZE_MAX)}")])
    return content


def _read_regular(path: Path) -> bytes | None:
    """The file's bytes, at most one more than allowed; None for a pipe or a device.

    Reading a pipe or a device might never return, or never end.
    """
    # O_NONBLOCK: opening a pipe does not wait for its writer.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        return file.read(FILE_BYTES_MAX + 1) if stat.S_ISREG(mode) else None


def read_spec_file(path: Path) -> tuple[str, str]:
    """A spec's text, and its name in messages. Raises UsageProblem, SpecError."""
    try:
        content = read_yaml_bytes(path)
    except OSError as error:
        raise UsageProblem(
            f"cannot read the spec {path}: {error.strerror}; name another file"
        ) from error
    try:
        return content.decode("utf-8-sig"), str(path)
    except UnicodeDecodeError as error:
        before = content[: error.start].split(b"\n")
        problem = Problem(
            "not UTF-8 text; save the file as UTF-8", len(before), len(before[-1]) + 1
        )
        raise SpecError(str(path), [problem]) from error


def refuse_planted(path: Path, spec: Path | None, says: str) -> None:
    """Raise UsageProblem if a file beside a spec may be of somebody who has nothing to do with the spec.

    The spec does not name the file, and `says` is what the file decides.
    """
    named = None if spec is None or is_stream(spec) or not spec.exists() else spec
    try:
        examine_beside(path, named).refuse(f"the file {path} is not used, since it says {says}")
    except (OSError, ExposedFiles) as error:
        raise UsageProblem(str(error)) from error
