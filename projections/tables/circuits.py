"""The table of circuits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orc.projections.tables.columns import TableInfo, column


@dataclass(frozen=True, slots=True)
class CircuitRow:
    """A row of `circuits`; `name` is the target, a provider and a model."""

    TABLE: ClassVar = TableInfo(
        "circuits",
        "Circuits",
        "One row for each target of a job (a provider and a model) whose calls failed several times "
        "in a row, so that no step asked it until a cooldown was over.",
    )

    circuit_id: str = column("`job/provider/model`.", key=True)
    name: str = column("The provider and the model.")
    job_id: str = column("The job.", refers="jobs.job_id", indexed=True)
    status: str = column("open or closed.", start="open")
    opened_at: str = column("When the circuit last opened.")
    closed_at: str | None = column("When the circuit closed; NULL while it is open.")
    failures: int = column("How many calls in a row had failed when the circuit last opened.")
    times_opened: int = column("How often the circuit opened.", start=1)
    cooldown_s: float = column("How long no step asks the target.")
    failure_kind: str | None = column("The kind of the last failure.")
    failure: str | None = column("The message of the last failure.")
