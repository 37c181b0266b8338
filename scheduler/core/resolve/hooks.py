"""Resolves the `hooks` of a spec."""

from __future__ import annotations

from typing import get_args

from orc.ledger.definition import HookDef
from orc.ledger.kinds import HookName
from orc.scheduler.core.spec.model import JobSpec


def resolve_hooks(job: JobSpec, *, folder: str) -> dict[HookName, HookDef]:
    """The definitions of the job's hooks; `folder` is that of the file in which they are written."""
    found: dict[HookName, HookDef] = {}
    for name in get_args(HookName):
        hook = None if job.hooks is None else getattr(job.hooks, name)
        if hook is not None:
            found[name] = HookDef(
                run=tuple(hook.run) if isinstance(hook.run, list) else hook.run,
                env=hook.env,
                secrets=tuple(dict.fromkeys((*job.secrets, *hook.secrets))),
                timeout_s=hook.timeout,
                folder=folder,
            )
    return found
