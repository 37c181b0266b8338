"""`orc export --format ro-crate`: writes the folder or the zip file of an RO-Crate.

`projections/exports/ro_crate.py` renders its description.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from orc.ledger.files.file_store import CHUNK_BYTES
from orc.ledger.files.folder import Folder
from orc.ledger.files.unfinished import MARK, unfinished
from orc.projections import Publisher
from orc.projections.exports.crate_facts import read_facts
from orc.projections.exports.ro_crate import METADATA, SPEC, Packed, render_crate
from orc.projections.exports.source import ExportSource
from orc.projections.money.prices import PriceTable

if TYPE_CHECKING:
    from collections.abc import Iterator

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The time of every entry, so that the same job gives the same bytes: the earliest that zip allows."""


def write_crate(
    source: ExportSource, folder: Path, *, prices: PriceTable
) -> tuple[int, dict[str, str]]:
    """Write the run folder, and then its description, to an empty, new or unfinished folder.

    The number of files, and the files that cannot be written any more, with the reasons. Raises
    FileIsThere, StorageError.
    """
    with unfinished(folder, crate_of(source.job_id)):
        count, lost, _ = _write_crate(source, folder, prices=prices)
        return count, lost


def crate_of(job_id: str) -> str:
    """The name of a crate in the mark of an unfinished folder."""
    return f"ro-crate of {job_id}"


def _write_crate(
    source: ExportSource, folder: Path, *, prices: PriceTable
) -> tuple[int, dict[str, str], list[str]]:
    """The number of files, those that are lost with the reason, and the empty folders."""
    publisher = Publisher(source.reader, source.job_id, folder, prices=prices)
    publisher.publish()
    lost = publisher.lost()
    if SPEC in lost:
        # The profile requires a file for the workflow, even if the spec was removed.
        Folder(folder).write(SPEC, f"# {lost[SPEC].partition(': ')[2]}\n".encode())
    files = {packed.path: packed for packed in _packed(Folder(folder))}
    description = render_crate(source, read_facts(source), files, lost)
    Folder(folder).write(METADATA, description)
    return len(files) + 1, lost, publisher.folders()


def write_crate_file(
    source: ExportSource, target: Path, *, prices: PriceTable
) -> tuple[int, dict[str, str]]:
    """Write the crate as one zip file over `target`; the result is that of `write_crate`.

    `target` is in a temporary folder, in which the files are written first.
    """
    folder = target.with_name("crate")
    count, lost, folders = _write_crate(source, folder, prices=prices)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for relative in Folder(folder).files():
            content, there = Folder(folder).open(relative), Folder(folder).stat(relative)
            assert content is not None
            assert there is not None
            entry = zipfile.ZipInfo(relative, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = stat.S_IMODE(there.st_mode) << 16
            # The size decides whether the entry needs the fields for large files.
            entry.file_size = there.st_size
            with content, archive.open(entry, "w") as packed:
                shutil.copyfileobj(content, packed, CHUNK_BYTES)
        for relative in folders:
            empty = zipfile.ZipInfo(f"{relative}/", _ZIP_TIME)
            empty.external_attr = (stat.S_IFDIR | 0o700) << 16
            archive.writestr(empty, b"")
    return count, lost


def _packed(folder: Folder) -> Iterator[Packed]:
    for relative in folder.files():
        if relative in (MARK, METADATA):
            continue  # A killed export may have written the description already.
        digest, there = folder.digest(relative), folder.stat(relative)
        assert digest is not None
        assert there is not None
        yield Packed(relative, digest, there.st_size)
