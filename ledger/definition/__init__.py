"""The resolved definition of a job: defaults filled in, workflows and matrices expanded.

`job.submitted` records the definition, and a resumed job reads it back. A field may be
added if it has a default. Existing fields keep their names and meanings.
"""

from __future__ import annotations

from orc.ledger.definition.base import LOCAL as LOCAL
from orc.ledger.definition.base import REPLAY as REPLAY
from orc.ledger.definition.flow import ApprovalDef as ApprovalDef
from orc.ledger.definition.flow import ForEachDef as ForEachDef
from orc.ledger.definition.flow import LoopDef as LoopDef
from orc.ledger.definition.flow import ScoreDef as ScoreDef
from orc.ledger.definition.job import HOOK_TIMEOUT_S as HOOK_TIMEOUT_S
from orc.ledger.definition.job import HookDef as HookDef
from orc.ledger.definition.job import JobDef as JobDef
from orc.ledger.definition.job import ShippedDef as ShippedDef
from orc.ledger.definition.job import dump_job as dump_job
from orc.ledger.definition.job import dump_step as dump_step
from orc.ledger.definition.job import dump_whole_step as dump_whole_step
from orc.ledger.definition.job import load_job as load_job
from orc.ledger.definition.job import walk_steps as walk_steps
from orc.ledger.definition.limits import DEFAULT_LIMITS as DEFAULT_LIMITS
from orc.ledger.definition.limits import Backoff as Backoff
from orc.ledger.definition.limits import BudgetDef as BudgetDef
from orc.ledger.definition.limits import CircuitDef as CircuitDef
from orc.ledger.definition.limits import LimitsDef as LimitsDef
from orc.ledger.definition.limits import RateDef as RateDef
from orc.ledger.definition.limits import RetryDef as RetryDef
from orc.ledger.definition.parts import EmbedDef as EmbedDef
from orc.ledger.definition.parts import FileDef as FileDef
from orc.ledger.definition.parts import MessageDef as MessageDef
from orc.ledger.definition.parts import PartDef as PartDef
from orc.ledger.definition.parts import Required as Required
from orc.ledger.definition.parts import TargetDef as TargetDef
from orc.ledger.definition.parts import ToolDef as ToolDef
from orc.ledger.definition.step import CacheScope as CacheScope
from orc.ledger.definition.step import Cwd as Cwd
from orc.ledger.definition.step import OnUnknown as OnUnknown
from orc.ledger.definition.step import StepDef as StepDef
