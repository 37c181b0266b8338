"""Builds the models that orc otherwise builds at their first use."""

from __future__ import annotations


def build_models() -> None:
    """Build the models of all modules that are loaded; no code is compiled for them afterwards."""
    from pydantic import BaseModel

    models = [BaseModel]
    for model in models:
        models += model.__subclasses__()
        if model.__module__.startswith("orc."):
            model.model_rebuild()
