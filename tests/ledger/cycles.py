"""Makes files whose pages refer to each other so that rows come again and again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.ledger.support import raw


def make_cycle(path: Path, name: str, *, levels: int = 0) -> None:
    """Make all children of the root page of a table or index its first child, which is a leaf.

    With `levels`, so many pages like the root are put between the two: with each level, the rows come
    again as many times as the root has children.
    """
    root, size = _root_of(path, name)
    content = bytearray(path.read_bytes())
    start = (root - 1) * size
    assert content[start] in (2, 5), "the tree has one level only"
    page = content[start : start + size]
    child = bytes(page[_children(page)[0] : _children(page)[0] + 4])
    for _ in range(levels):
        content += _with_children(page, child)
        child = (len(content) // size).to_bytes(4, "big")
    content[start : start + size] = _with_children(page, child)
    content[28:32] = (len(content) // size).to_bytes(4, "big")
    path.write_bytes(content)


def _root_of(path: Path, name: str) -> tuple[int, int]:
    """The number of the root page, from 1, and the size of a page in bytes."""
    with closing(raw(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        return connection.execute(query, (name,)).fetchone()[0], size


def _children(page: bytearray) -> list[int]:
    """The places of the numbers of an inner page's children; see https://sqlite.org/fileformat2.html."""
    cells = int.from_bytes(page[3:5], "big")
    return [int.from_bytes(page[12 + 2 * n : 14 + 2 * n], "big") for n in range(cells)] + [8]


def _with_children(page: bytearray, child: bytes) -> bytes:
    changed = bytearray(page)
    for place in _children(page):
        changed[place : place + 4] = child
    return bytes(changed)
