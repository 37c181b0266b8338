"""Builds the models and structs that orc otherwise builds at their first use."""

from __future__ import annotations


def build_models() -> None:
    """Build those of all modules that are loaded; no code is compiled for them afterwards."""
    from msgspec import json
    from pydantic import BaseModel

    from orc.ledger.stored_struct import Stored

    models = [BaseModel]
    for model in models:
        models += model.__subclasses__()
        if model.__module__.startswith("orc."):
            model.model_rebuild()
    structs = [Stored]
    for struct in structs:
        structs += struct.__subclasses__()
        json.Decoder(struct)
