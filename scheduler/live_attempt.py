"""One attempt as its executor sees it: its folders and its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orc.scheduler.executors.contract import Place, Ticket
from orc.scheduler.rendering import Renderer


class LiveAttempt:
    """The current attempt of a step; see `contract.Attempt`.

    Raises TemplateError if a secret of the step is not set.
    """

    def __init__(self, renderer: Renderer, step_id: str, attempt: int) -> None:
        self.ticket = Ticket(renderer.job_id, step_id, attempt)
        self.places: Mapping[Place, Path] = renderer.places(step_id)
        self.log_path = renderer.log_path(step_id)
        self.secrets: Mapping[str, str] = renderer.environment.secrets(step_id)
