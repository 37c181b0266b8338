"""From a checked spec and the caller's settings to the definition that is recorded and runs."""
