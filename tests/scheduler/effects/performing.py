"""Runs a command as the executor `local` does, and reads its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orc.ledger.secrets.masking import Mask
from orc.scheduler.effects.contract import CommandRequest, Result
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.outcomes import command_result
from orc.scheduler.effects.run import run_command


async def perform_run(
    request: CommandRequest,
    *,
    groups: ProcessGroups,
    mask: Mask,
    wants_json: bool = False,
    output_schema: Mapping[str, Any] | None = None,
) -> Result:
    outcome = await run_command(request, groups=groups, mask=mask)
    return command_result(outcome, wants_json=wants_json, output_schema=output_schema, mask=mask)
