"""Finds and loads the models on this machine, in folders and in the cache of the Hugging Face hub.

mlx-lm is an optional extra and takes seconds to import, so `open_store` imports it. The hub is
contacted only if `MLX_DOWNLOAD` is set.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from orc.providers.catalogue import REGISTRY
from orc.providers.errors import PermanentError, TransientError
from orc.providers.http import safe_text
from orc.providers.mlx_model import LocalModel, MlxModel
from orc.providers.registry import missing_message, missing_package

_ENTRY = REGISTRY["mlx"]
_WHOLE_FILE_MAX_BYTES = 1 << 20
_FILES = ["*.json", "*.safetensors", "*.model", "*.tiktoken", "*.txt", "*.jinja"]


class Store(Protocol):
    """The models of this machine."""

    def load(self, name: str) -> LocalModel:
        """Load the model from a folder or the hub. Raises ProviderError."""

    def names(self) -> list[str]:
        """The models that need no download. Raises PermanentError."""

    def identify(self, name: str) -> str | None:
        """See `Provider.identify`; None if the model is not on this machine."""


def open_store(environment: Mapping[str, str]) -> Store:
    """Import mlx-lm and open its store. Raises PermanentError (environment)."""
    missing = missing_package(_ENTRY)
    if missing is not None:
        raise PermanentError("environment", missing)
    download = environment.get("MLX_DOWNLOAD", "") not in ("", "0")
    try:
        with _hub_offline(not download):
            import_module("mlx_lm")
            import_module("huggingface_hub.utils").disable_progress_bars()
            import_module("transformers").logging.set_verbosity_error()
    except ImportError as error:
        raise PermanentError(
            "environment", f"{missing_message(_ENTRY)}; {safe_text(str(error))}"
        ) from error
    return MlxStore(environment.get("MLX_MODEL_PATH") or None, download=download)


class MlxStore:
    """Models in folders and in the hub's cache; with `download`, also from the hub."""

    def __init__(self, folder: str | None, *, download: bool) -> None:
        self._folder = folder
        self._download = download

    def load(self, name: str) -> LocalModel:
        """See `Store.load`."""
        folder = self._find(name)
        try:
            model, tokenizer, config = import_module("mlx_lm").load(str(folder), return_config=True)
        except Exception as error:
            # A model's files can cause any exception.
            raise PermanentError(
                "environment",
                f"{safe_text(name)} cannot be loaded: {type(error).__name__}: "
                f"{safe_text(str(error))}",
            ) from error
        if not tokenizer.has_chat_template:
            raise PermanentError(
                "environment",
                f"{safe_text(name)} has no chat template, so it cannot be used for chats; name "
                "another model",
            )
        return MlxModel(model, tokenizer, config)

    def names(self) -> list[str]:
        """See `Store.names`."""
        hub = import_module("huggingface_hub")
        try:
            cached = [repo.repo_id for repo in hub.scan_cache_dir().repos if _is_model(repo)]
        except hub.errors.CacheNotFound:
            cached = []
        here = self._folder
        return ([here] if here and os.path.isdir(os.path.expanduser(here)) else []) + cached

    def identify(self, name: str) -> str | None:
        """See `Store.identify`. Large files are identified by their size and modification time."""
        try:
            folder = self._find(name, download=False)
            if folder.parent.name == "snapshots":
                return folder.name
            digest = hashlib.sha256()
            for path in sorted(folder.iterdir()):
                if path.is_file():
                    digest.update(_fingerprint(path))
        except (OSError, PermanentError, TransientError):
            return None
        return digest.hexdigest()

    def _find(self, name: str, *, download: bool | None = None) -> Path:
        folder = Path(os.path.expanduser(name))
        if folder.is_dir():
            return folder
        if name.startswith(("/", ".", "~")) or name.count("/") != 1:
            raise PermanentError("environment", f"there is no model folder {safe_text(name)}")
        hub = import_module("huggingface_hub")
        download = self._download if download is None else download
        try:
            found = hub.snapshot_download(
                name, local_files_only=not download, allow_patterns=_FILES
            )
        except (hub.errors.RepositoryNotFoundError, ValueError) as error:
            raise PermanentError("environment", _absent(name, download=download)) from error
        except Exception as error:
            if not download:
                raise PermanentError("environment", _absent(name, download=False)) from error
            raise TransientError(
                "connection",
                f"{safe_text(name)} could not be downloaded: {safe_text(str(error))}",
            ) from error
        return Path(found)


@contextmanager
def _hub_offline(wanted: bool) -> Iterator[None]:
    """Set HF_HUB_OFFLINE while the hub's package is imported, because it reads it only then.

    Commands do not inherit the variable.
    """
    name = "HF_HUB_OFFLINE"
    before = os.environ.get(name)
    if wanted:
        os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _is_model(repo: Any) -> bool:
    return repo.repo_type == "model" and any(
        file.file_name == "config.json" for revision in repo.revisions for file in revision.files
    )


def _absent(name: str, *, download: bool) -> str:
    if download:
        return f"the hub has no model {safe_text(name)} that you can access"
    return (
        f"{safe_text(name)} is not on this machine; name a folder in MLX_MODEL_PATH, or set "
        "MLX_DOWNLOAD=1 to download it"
    )


def _fingerprint(path: Path) -> bytes:
    facts = path.stat()
    if facts.st_size <= _WHOLE_FILE_MAX_BYTES:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        content = f"{facts.st_mtime_ns}"
    return f"{path.name}\0{facts.st_size}\0{content}\n".encode(errors="surrogateescape")
