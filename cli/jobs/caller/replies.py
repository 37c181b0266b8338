"""Recorded replies: which file they are in, and the provider that answers from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.spec_files import read_yaml_bytes
from orc.ledger import LedgerReader
from orc.ledger.definition import REPLAY, JobDef, walk_steps
from orc.ledger.errors import RemovedBlob
from orc.providers import Provider
from orc.scheduler.core.fold.evolve import JobState


def replies_path(spec: Path) -> Path:
    """The recorded replies beside a spec: `tiny_spec.yaml` has `tiny_spec.replay.yaml`."""
    return spec.with_name(f"{spec.stem}.replay.yaml")


def read_replies_for_run(definition: JobDef, *, given: Path | None, spec: Path | None) -> Any:
    """The document of recorded replies; None where no step is answered from one.

    Without `given` it is the file beside the spec. Raises UsageProblem, SpecError.
    """
    if not any(step.provider == REPLAY for step in walk_steps(definition.steps)):
        return None
    if given is None and spec is None:
        raise UsageProblem("provider replay needs recorded replies: name a file of them")
    return _load_replies(given or replies_path(spec or Path()))


def read_replies_for_resume(
    ledger: LedgerReader, state: JobState, *, provider: str | None, replies: Path | None
) -> Any:
    """The document of recorded replies: the given file's, else the recorded one.

    Where the provider is switched to `replay` only now, it is the file beside the spec.
    Raises UsageProblem, SpecError, RemovedBlob.
    """
    if replies is not None:
        return _load_replies(replies)
    if state.replies is not None:
        try:
            return ledger.read_payload(state.replies)
        except RemovedBlob as error:
            said = f"the job's recorded replies are gone: {error}; --replies FILE gives others"
            raise RemovedBlob(said, error.digest) from None
    if provider != REPLAY:
        return None
    assert state.submitted is not None
    spec = Path(state.submitted.source_name)
    beside = replies_path(Path(state.submitted.spec_dir) / spec.name)
    return _load_replies(beside)


def _load_replies(path: Path) -> Any:
    from orc.providers.replay import RepliesError, parse_replies
    from orc.scheduler.core.spec.yaml_source import parse_yaml

    try:
        text = read_yaml_bytes(path).decode()
    except FileNotFoundError as error:
        raise UsageProblem(
            f"there are no recorded replies at {path}; name a file of them with --replies"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"the recorded replies {path} are not UTF-8 text") from error
    except OSError as error:
        raise UsageProblem(f"cannot read the recorded replies {path}: {error.strerror}") from error
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
        raise UsageProblem("provider replay needs recorded replies: --replies FILE")
    try:
        return Replay(parse_replies(document), digest=digest_json)
    except RepliesError as error:
        raise UsageProblem(f"the recorded replies cannot be used: {error}") from error
