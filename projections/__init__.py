"""Projections: the tables, run folder, pages, pictures and exports that are derived from the events.

Each of them can be deleted and made again from the ledger. The names of `__all__` are imported at
first use, so that a command loads only the modules that it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orc.projections.caches.replies import ReplyCache as ReplyCache
    from orc.projections.caches.result_fold import collect_results as collect_results
    from orc.projections.caches.results import ResultCache as ResultCache
    from orc.projections.folder.jsonl import event_line as event_line
    from orc.projections.folder.manifest import Manifest as Manifest
    from orc.projections.folder.publish import Publisher as Publisher
    from orc.projections.folder.publish import deliver as deliver
    from orc.projections.pictures.graph_mermaid import mermaid_graph as mermaid_graph
    from orc.projections.pictures.graph_text import text_graph as text_graph
    from orc.projections.tables.projector import ReadModel as ReadModel
    from orc.projections.verify import Verifier as Verifier
    from orc.projections.verify import verify_job as verify_job

_HOMES = {
    "Manifest": "folder.manifest",
    "Publisher": "folder.publish",
    "ReadModel": "tables.projector",
    "ReplyCache": "caches.replies",
    "ResultCache": "caches.results",
    "Verifier": "verify",
    "collect_results": "caches.result_fold",
    "deliver": "folder.publish",
    "event_line": "folder.jsonl",
    "mermaid_graph": "pictures.graph_mermaid",
    "text_graph": "pictures.graph_text",
    "verify_job": "verify",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
