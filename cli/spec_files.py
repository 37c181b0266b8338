"""The files beside a spec that it names: read once, when it is submitted, and kept in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ledger.digest import Digest, digest_bytes

FILE_BYTES_MAX = 20 * 1024 * 1024


class SpecFiles:
    """Reads files relative to the spec's folder; `contents` has what was read, by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.contents: dict[Digest, bytes] = {}
        self._names: dict[Digest, str] = {}

    def read_text(self, name: str) -> str:
        """A file that is part of the spec. Raises ValueError, which says why it cannot be read."""
        content = self.contents[self.take(name)]
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise ValueError(f"{self._folder / name}:{line}: not UTF-8 text") from None

    def take(self, name: str) -> Digest:
        """The digest of the file's content. Raises ValueError, which says why it cannot be taken."""
        path = self._folder / name
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                raise ValueError(f"{name} is over {FILE_BYTES_MAX // 2**20} MiB")
            content = path.read_bytes()
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror}") from None
        digest = digest_bytes(content)
        self.contents[digest] = content
        self._names[digest] = name
        return digest

    def named(self) -> Iterator[tuple[str, bytes]]:
        """What was read, each with its name."""
        for digest, name in self._names.items():
            yield name, self.contents[digest]
