"""The driver of dask.distributed, as a script: its arguments are the numbers of two descriptors.

It must be called with `python -P`, since the package that it drives has the name of this file.
`dask_driver.py` is what it does, and `executors/driver_process.py` starts it.
"""

from __future__ import annotations

from orc.scheduler.drivers.dask_driver import main

if __name__ == "__main__":
    main()
