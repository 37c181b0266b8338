"""Says which input files of a job are other ones on the disk than those that it has recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orc.cli.jobs.caller.input_files import FILE_BYTES_MAX, FoundFile, find_files, read_pieces
from orc.ledger import Ledger
from orc.ledger.command_lines import command_line
from orc.ledger.digest import digest_bytes
from orc.ledger.files.project_places import job_place, spec_folder
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.secrets.masking import Mask
from orc.scheduler.core.fold.evolve import JobState

_COMPARED_BYTES_MAX = 64 * 1024 * 1024
"""Of an input with more bytes, only the sizes of its files are compared."""


def changed_inputs(state: JobState, ledger: Ledger, job_id: str) -> Iterator[str]:
    """A sentence for each input of the job whose files have changed since they were read.

    Files that are gone, or cannot be read, are no change: the job has what it recorded.
    """
    submitted = state.submitted
    assert submitted is not None
    for name, found in state.definition.read.items():
        folder = spec_folder(submitted, ledger.path)
        given: tuple[str, ...] = ()
        if not found.default:
            folder = job_place(submitted.submit_dir, submitted, ledger.path)
            given = ("-i", f"{name}={found.source}")
        if found.files and _has_changed(found, folder, ledger.mask):
            spec = _spec_file(spec_folder(submitted, ledger.path), submitted.source_name)
            again = command_line("resume", job_id, "--spec", spec, *given)
            yield (
                f"{found.source} (the input {name}) has changed since the job read it; the job goes "
                f"on with what it has recorded. `{again}` takes the new content"
            )


def _spec_file(folder: Path, name: str) -> Path | str:
    """The file of the spec as a person types it here; SPEC if it is not there."""
    place = folder / Path(name).name
    if not name or not place.is_file():
        return "SPEC"
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def _has_changed(found: ReadInput, folder: Path, mask: Mask) -> bool:
    sources = found.source.split(", ") if found.type == "files" else [found.source]
    try:
        there = find_files([(source, folder) for source in sources], allow_empty=False)
        return {file.path for file in there} != {file.path for file in found.files} or any(
            _differs(file, found, mask) for file in there
        )
    except (ValueError, OSError):
        return False


def _differs(file: FoundFile, found: ReadInput, mask: Mask) -> bool:
    known = next(one for one in found.files if one.path == file.path)
    is_small = sum(one.size_bytes for one in found.files) <= _COMPARED_BYTES_MAX
    if not is_small:
        return not mask and file.place.stat().st_size != known.size_bytes
    masked = mask.byte_stream()
    content = b"".join(masked.feed(piece) for piece in read_pieces(file, bytes_max=FILE_BYTES_MAX))
    return digest_bytes(content + masked.close()) != known.sha256
