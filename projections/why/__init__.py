"""The reasons why a step ran, waits, failed or did not run, each with the event that records it."""
