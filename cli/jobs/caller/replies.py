"""Recorded replies: finds and reads their file, and builds the provider `replay`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.spec_files import read_yaml_bytes, refuse_planted
from orc.ledger import LedgerReader
from orc.ledger.definition import REPLAY, JobDef, walk_steps
from orc.ledger.errors import RemovedBlob
from orc.ledger.files.descriptors import is_stream
from orc.ledger.files.project_places import spec_folder
from orc.providers import Provider
from orc.scheduler.core.fold.evolve import JobState

_SAYS = "which tools are called"


def replies_path(spec: Path) -> Path:
    """The path of the recorded replies beside a spec: `x.replay.yaml` for `x.yaml`."""
    return spec.with_name(f"{spec.stem}.replay.yaml")


def find_replies_beside(spec: Path | None) -> Path | None:
    """The recorded replies beside a spec; None if there are none, as for a spec from a stream.

    Raises UsageProblem if another user may have put them there.
    """
    if spec is None or is_stream(spec) or not (path := replies_path(spec)).is_file():
        return None
    refuse_planted(path, spec, _SAYS)
    return path


def read_replies_for_run(definition: JobDef, *, given: Path | None, spec: Path | None) -> Any:
    """The document of recorded replies, from the file `given`, else from the file beside the spec.

    None if no step uses the provider `replay`. Raises UsageProblem, SpecError.
    """
    if not any(step.provider == REPLAY for step in walk_steps(definition.steps)):
        return None
    if given is not None:
        return _load_replies(given)
    if spec is None or is_stream(spec):
        raise UsageProblem(
            "the provider replay needs a file of recorded replies; name it with --replies FILE"
        )
    return _load_beside(spec)


def read_replies_for_resume(
    ledger: LedgerReader, state: JobState, *, provider: str | None, replies: Path | None
) -> Any:
    """The document of recorded replies: from the file `replies`, else the one that the job has.

    If the job has none and `provider` is now `replay`, it is the file beside the spec. Raises
    UsageProblem, SpecError, RemovedBlob.
    """
    if replies is not None:
        return _load_replies(replies)
    if state.replies is not None:
        try:
            return ledger.read_payload(state.replies)
        except RemovedBlob as error:
            message = (
                f"the job's recorded replies were removed: {error}; give others with --replies FILE"
            )
            raise RemovedBlob(message, error.digest) from None
    if provider != REPLAY:
        return None
    assert state.submitted is not None
    spec = Path(state.submitted.source_name)
    return _load_beside(spec_folder(state.submitted, ledger.path) / spec.name)


def _load_beside(spec: Path) -> Any:
    path = replies_path(spec)
    if os.path.lexists(path):
        refuse_planted(path, spec, _SAYS)
    return _load_replies(path)


def _load_replies(path: Path) -> Any:
    from orc.providers.replay import RepliesError, parse_replies
    from orc.scheduler.core.source.yaml_source import parse_yaml

    try:
        text = read_yaml_bytes(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageProblem(
            f"there are no recorded replies at {path}; name their file with --replies FILE"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageProblem(
            f"the recorded replies {path} are not UTF-8 text; save them as UTF-8"
        ) from error
    except OSError as error:
        raise UsageProblem(
            f"cannot read the recorded replies {path}: {error.strerror}; "
            "name another file with --replies FILE"
        ) from error
    document = parse_yaml(text, source_name=str(path)).value
    try:
        parse_replies(document)
    except RepliesError as error:
        raise UsageProblem(f"{path}: {error}") from error
    return document


def build_replay(document: Any) -> Provider:
    """The provider that answers from recorded replies. Raises UsageProblem."""
    from orc.ledger.digest import digest_json
    from orc.providers.replay import Replay, RepliesError, parse_replies

    if document is None:
        raise UsageProblem(
            "the provider replay needs a file of recorded replies; name it with --replies FILE"
        )
    try:
        return Replay(parse_replies(document), digest=digest_json)
    except RepliesError as error:
        raise UsageProblem(
            f"the recorded replies cannot be used: {error}; correct their file"
        ) from error
