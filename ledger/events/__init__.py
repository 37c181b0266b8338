"""The event types, as frozen structs.

An event's `type`, `step` and `attempt` are columns of the table; its other fields are in the
`data` column. Optional fields may be added. A change that old data does not fit needs a higher
number for the model's tag `v`, which is its shape, and a function in `upcasts.py`. Types are never
renamed.
"""

from __future__ import annotations

from typing import NamedTuple

from orc.ledger.events.base import Event as Event
from orc.ledger.events.base import JobEvent as JobEvent
from orc.ledger.events.base import StepEvent as StepEvent
from orc.ledger.events.batch_events import BatchAccepted as BatchAccepted
from orc.ledger.events.batch_events import BatchEnded as BatchEnded
from orc.ledger.events.batch_events import BatchProgressed as BatchProgressed
from orc.ledger.events.batch_events import BatchSubmitted as BatchSubmitted
from orc.ledger.events.call_events import BudgetExceeded as BudgetExceeded
from orc.ledger.events.call_events import CacheHit as CacheHit
from orc.ledger.events.call_events import LlmFailed as LlmFailed
from orc.ledger.events.call_events import LlmRequested as LlmRequested
from orc.ledger.events.call_events import LlmResponded as LlmResponded
from orc.ledger.events.call_events import ToolCalled as ToolCalled
from orc.ledger.events.call_events import ToolReturned as ToolReturned
from orc.ledger.events.job_events import BlobRemoved as BlobRemoved
from orc.ledger.events.job_events import BudgetRaised as BudgetRaised
from orc.ledger.events.job_events import CircuitClosed as CircuitClosed
from orc.ledger.events.job_events import CircuitOpened as CircuitOpened
from orc.ledger.events.job_events import HookEnded as HookEnded
from orc.ledger.events.job_events import HookOutcome as HookOutcome
from orc.ledger.events.job_events import HookStarted as HookStarted
from orc.ledger.events.job_events import JobAmended as JobAmended
from orc.ledger.events.job_events import JobCancelled as JobCancelled
from orc.ledger.events.job_events import JobCancelling as JobCancelling
from orc.ledger.events.job_events import JobFailed as JobFailed
from orc.ledger.events.job_events import JobInterrupted as JobInterrupted
from orc.ledger.events.job_events import JobNoted as JobNoted
from orc.ledger.events.job_events import JobResumed as JobResumed
from orc.ledger.events.job_events import JobStarted as JobStarted
from orc.ledger.events.job_events import JobSubmitted as JobSubmitted
from orc.ledger.events.job_events import JobSucceeded as JobSucceeded
from orc.ledger.events.job_events import JobTagged as JobTagged
from orc.ledger.events.job_events import JobWaiting as JobWaiting
from orc.ledger.events.step_events import ApprovalDecided as ApprovalDecided
from orc.ledger.events.step_events import ApprovalRequested as ApprovalRequested
from orc.ledger.events.step_events import FileWritten as FileWritten
from orc.ledger.events.step_events import ScoreRecorded as ScoreRecorded
from orc.ledger.events.step_events import StepConfigured as StepConfigured
from orc.ledger.events.step_events import StepExpanded as StepExpanded
from orc.ledger.events.step_events import StepFailed as StepFailed
from orc.ledger.events.step_events import StepInterrupted as StepInterrupted
from orc.ledger.events.step_events import StepPlaced as StepPlaced
from orc.ledger.events.step_events import StepReattached as StepReattached
from orc.ledger.events.step_events import StepReused as StepReused
from orc.ledger.events.step_events import StepSkipped as StepSkipped
from orc.ledger.events.step_events import StepStarted as StepStarted
from orc.ledger.events.step_events import StepSucceeded as StepSucceeded
from orc.ledger.events.step_events import StepSwitched as StepSwitched
from orc.ledger.events.step_events import StepUnplaced as StepUnplaced
from orc.ledger.servers.server_def import PriceDef as PriceDef
from orc.ledger.values import CallRef as CallRef
from orc.ledger.values import ChildShape as ChildShape
from orc.ledger.values import Failure as Failure
from orc.ledger.values import FailureKind as FailureKind
from orc.ledger.values import FileRef as FileRef
from orc.ledger.values import JobId as JobId
from orc.ledger.values import Limit as Limit
from orc.ledger.values import Owner as Owner
from orc.ledger.values import Payload as Payload
from orc.ledger.values import QueuedRun as QueuedRun
from orc.ledger.values import Reserved as Reserved
from orc.ledger.values import SkipReason as SkipReason
from orc.ledger.values import StepId as StepId
from orc.ledger.values import TokenUsage as TokenUsage
from orc.ledger.values import ToleratedCount as ToleratedCount
from orc.ledger.values import WorstCase as WorstCase

AnyEvent = (
    JobSubmitted
    | JobStarted
    | JobResumed
    | JobAmended
    | JobInterrupted
    | JobWaiting
    | BudgetRaised
    | BudgetExceeded
    | JobSucceeded
    | JobFailed
    | JobCancelling
    | JobCancelled
    | HookStarted
    | HookEnded
    | CircuitOpened
    | CircuitClosed
    | BatchSubmitted
    | BatchAccepted
    | BatchProgressed
    | BatchEnded
    | StepConfigured
    | StepStarted
    | StepPlaced
    | StepUnplaced
    | StepReattached
    | StepSwitched
    | StepExpanded
    | ApprovalRequested
    | ApprovalDecided
    | StepSucceeded
    | StepFailed
    | StepSkipped
    | StepInterrupted
    | StepReused
    | LlmRequested
    | LlmResponded
    | LlmFailed
    | CacheHit
    | ToolCalled
    | ToolReturned
    | FileWritten
    | ScoreRecorded
    | JobTagged
    | JobNoted
    | BlobRemoved
)

EVENT_TYPES: dict[str, type[AnyEvent]] = {model.type: model for model in AnyEvent.__args__}
SHAPES: dict[str, int] = {
    name: int(shape)
    for name, model in EVENT_TYPES.items()
    if (shape := model.__struct_config__.tag) is not None
}
"""The current shape of each event type whose shape is not 1."""


class Recorded(NamedTuple):
    """An event with its version in the stream (from 1) and its time (UTC, as text).

    `position` (its number in the whole ledger) and `hash` are set once it is stored.
    """

    job_id: JobId
    version: int
    recorded_at: str
    event: AnyEvent
    position: int = 0
    hash: str = ""


StoredEvent = tuple[Recorded, str]
"""A committed event with its hash, and the text of its `data` column."""
