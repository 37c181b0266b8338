"""One attempt as its executor sees it: its folders, its secrets, and what it may commit."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from orc.ledger import LedgerReader
from orc.ledger.secrets.masking import Mask
from orc.scheduler.executors.contract import Place, Placement, Ticket, WorkFile
from orc.scheduler.folders.work_folder import read_pieces, remove_tree
from orc.scheduler.placing import PlacingJournal
from orc.scheduler.rendering import Renderer

_LOG = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LiveAttempt:
    """The current attempt of a step; see `contract.Attempt`.

    Raises TemplateError if a secret of the step is not set.
    """

    def __init__(
        self,
        renderer: Renderer,
        placing: PlacingJournal,
        step_id: str,
        attempt: int,
        *,
        database: Path,
        mask: Mask,
    ) -> None:
        self.ticket = Ticket(renderer.job_id, step_id, attempt)
        self.epoch = placing.epoch
        self.places: Mapping[Place, str] = renderer.places(step_id)
        self.log_path = renderer.log_path(step_id)
        self.secrets: Mapping[str, str] = renderer.environment.secrets(step_id)
        self._placing = placing
        self._database = database
        self._mask = mask
        self._copied: set[str] = set()
        self._lock = threading.Lock()

    async def place(self, placement: Placement) -> None:
        """See `Attempt.place`."""
        await self._placing.place(self.ticket, placement)

    async def unplace(self, run: str, reason: str) -> None:
        """See `Attempt.unplace`."""
        await self._placing.unplace(self.ticket, run, reason)

    async def reattach(self, run: str) -> None:
        """See `Attempt.reattach`."""
        await self._placing.reattach(self.ticket, run)

    def printed(self, offset: int, content: bytes) -> None:
        """See `Attempt.printed`. What cannot be shown now comes with the whole log."""
        with suppress(OSError):
            fd = os.open(self.log_path, _LOG, 0o600)
            try:
                os.pwrite(fd, self._mask.data(content), offset)
            finally:
                os.close(fd)

    def take_log(self, pieces: Iterable[bytes]) -> None:
        """See `Attempt.take_log`."""
        with suppress(FileNotFoundError):
            os.unlink(self.log_path)
        if pieces == [b""]:
            # Most attempts print nothing.
            return
        masked = self._mask.byte_stream()
        fd = os.open(self.log_path, _LOG | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as target:
            for piece in pieces:
                target.write(masked.feed(piece))
            target.write(masked.close())

    def read_input(self, file: WorkFile) -> Path:
        """See `Attempt.read_input`."""
        path = self._inputs / file.sha256
        with self._lock:
            if file.sha256 not in self._copied or not path.exists():
                self._copy(file, path)
                self._copied.add(file.sha256)
        return path

    def _copy(self, file: WorkFile, path: Path) -> None:
        # What an earlier process left under this name may be a part: it is written again.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            path.unlink()
        # A reader of its own, since another thread may call this.
        with (
            LedgerReader.open(self._database) as reader,
            reader.open_blob(file.sha256) as source,
            path.open("xb") as target,
        ):
            for piece in read_pieces(source):
                target.write(piece)

    def close(self) -> None:
        """Remove the copies of inputs."""
        if os.path.lexists(self._inputs):
            remove_tree(self._inputs)

    @property
    def _inputs(self) -> Path:
        """The folder for copies of inputs."""
        return Path(f"{self.places['work']}.inputs")
