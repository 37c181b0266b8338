"""The driver of dask.distributed, as a script: its arguments are the numbers of two descriptors.

It must be called with `python -P`, since the package that it drives has the name of this file.
`dask_driver.py` is what it does, and `executors/driver_process.py` starts it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from orc.scheduler.drivers.dask_driver import DaskDriver
from orc.scheduler.drivers.lines import Lines


async def _serve(read_fd: int, write_fd: int) -> None:
    lines = Lines(read_fd, write_fd)
    await lines.serve(DaskDriver(lines).answer)


def main() -> None:
    """Serve until end of file on the first descriptor."""
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    read_fd, write_fd = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(read_fd, False)
    os.set_inheritable(write_fd, False)
    asyncio.run(_serve(read_fd, write_fd))
    # A hung connection must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
