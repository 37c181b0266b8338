"""Why a step is as it is, waits, or did not run, each statement with its event."""
