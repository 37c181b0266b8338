"""The former home of the use cases: their names, for the commands that still import them here."""

from __future__ import annotations

from orc.cli.jobs.cancel import cancel as cancel
from orc.cli.jobs.places import Places as Places
from orc.cli.jobs.places import open_for_writing as open_for_writing
from orc.cli.jobs.resume import resume as resume
from orc.cli.jobs.run import run as run
from orc.cli.jobs.state import append_command as append_command
from orc.cli.jobs.sync import first_error as first_error
from orc.cli.jobs.sync import run_sync as run_sync
