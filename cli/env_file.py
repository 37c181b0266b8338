"""`--env-file FILE`: variables for orc itself, such as the keys of servers. Never read unasked.

The process's own variables come first. Programs of steps get none of them, unless the spec names one
under `env` or `secrets`.
"""

from __future__ import annotations

import os
import re
from io import StringIO
from pathlib import Path

from orc.cli.output_mask import widen_output_mask
from orc.ledger.secrets.masking import Mask

FILE_BYTES_MAX = 1024 * 1024

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_HIDDEN = r"(?i:KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|PRIVATE)"
_CHANGES_PROGRAMS = (
    r"(PATH|HOME|SHELL|USER|LOGNAME|TMPDIR|TZ|LANG|ENV|BASH_ENV|(LD|DYLD|LC|ORC|GIT)_.*|PYTHON.*)\Z"
)
SECRETS_VARIABLE = "ORC_SECRET_VARIABLES"
"""Tells the processes of orc that this one starts which of their variables are such secrets."""


def secrets_of_env_file() -> dict[str, str]:
    """The secrets by name that the file has: variables whose names say that they are some."""
    names = os.environ.get(SECRETS_VARIABLE, "").split()
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def load_env_file(path: Path | None) -> Path | None:
    """Take the variables of the file into this process's environment. Raises UsageProblem."""
    if path is None:
        return None
    # Imported here, since few commands read such a file.
    from dotenv.parser import parse_stream

    from orc.cli.errors import UsageProblem
    from orc.cli.jobs.caller.spec_files import read_yaml_bytes

    try:
        content = read_yaml_bytes(path)
        if len(content) > FILE_BYTES_MAX:
            raise UsageProblem(f"--env-file {path}: it must be a file of at most 1 MiB")
        lines = list(parse_stream(StringIO(content.decode("utf-8-sig"), newline=None)))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageProblem(
            f"--env-file {path}: cannot be read: {reason}; name another file"
        ) from error
    for each in lines:
        if each.error:
            raise UsageProblem(
                f"--env-file {path}: line {each.original.line}: each line must be NAME=VALUE"
            )
    found = {each.key: each.value for each in lines if each.key is not None}
    for name, value in found.items():
        if value is None or not re.fullmatch(_NAME, name) or "\0" in value:
            raise UsageProblem(f"--env-file {path}: each line must be NAME=VALUE")
        if re.match(_CHANGES_PROGRAMS, name):
            raise UsageProblem(
                f"--env-file {path}: {name} is not taken from a file, since it would change the "
                "programs of steps; remove it, or set it in the environment"
            )
    for name, value in found.items():
        os.environ.setdefault(name, value or "")
    secret = [name for name, value in found.items() if value and re.search(_HIDDEN, name)]
    if secret:
        os.environ[SECRETS_VARIABLE] = " ".join(secret)
    # The file may have another value than the environment, which comes first.
    widen_output_mask(Mask({name: found[name] or "" for name in secret} | secrets_of_env_file()))
    return path
