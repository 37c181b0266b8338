"""The table of circuits."""

from typing import Annotated, NamedTuple

from orc.projections.tables.columns import column, table


@table(
    "circuits",
    "Circuits",
    "One row for each target of a job (a provider and a model) whose calls failed several times "
    "in a row, so that no step asked it until a cooldown was over.",
)
class CircuitRow(NamedTuple):
    """A row of `circuits`; `name` is the target, a provider and a model."""

    circuit_id: Annotated[str, column("`job/provider/model`.", key=True)]
    name: Annotated[str, column("The provider and the model.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    status: Annotated[str, column("open or closed.", start="open")]
    opened_at: Annotated[str, column("When the circuit last opened.")]
    closed_at: Annotated[str | None, column("When the circuit closed; NULL while it is open.")]
    failures: Annotated[
        int, column("How many calls in a row had failed when the circuit last opened.")
    ]
    times_opened: Annotated[int, column("How often the circuit opened.", start=1)]
    cooldown_s: Annotated[float, column("How long no step asks the target.")]
    failure_kind: Annotated[str | None, column("The kind of the last failure.")]
    failure: Annotated[str | None, column("The message of the last failure.")]
