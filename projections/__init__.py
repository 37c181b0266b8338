"""What is derived from the events: tables, manifest, event lines, files, pictures.

Everything here can be deleted and made again from the ledger alone. Names load
at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orc.projections.jsonl import event_line as event_line
    from orc.projections.manifest import Manifest as Manifest
    from orc.projections.pictures.graph_mermaid import mermaid_graph as mermaid_graph
    from orc.projections.pictures.graph_text import text_graph as text_graph
    from orc.projections.publish import Publisher as Publisher
    from orc.projections.publish import deliver as deliver
    from orc.projections.read_model import ReadModel as ReadModel
    from orc.projections.reply_cache import ReplyCache as ReplyCache
    from orc.projections.result_cache import ResultCache as ResultCache
    from orc.projections.result_cache import collect_results as collect_results
    from orc.projections.verify import Verifier as Verifier
    from orc.projections.verify import verify_job as verify_job

_HOMES = {
    "Manifest": "manifest",
    "Publisher": "publish",
    "ReadModel": "read_model",
    "ReplyCache": "reply_cache",
    "ResultCache": "result_cache",
    "Verifier": "verify",
    "collect_results": "result_cache",
    "deliver": "publish",
    "event_line": "jsonl",
    "mermaid_graph": "pictures.graph_mermaid",
    "text_graph": "pictures.graph_text",
    "verify_job": "verify",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
