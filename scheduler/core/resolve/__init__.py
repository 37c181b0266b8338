"""Resolves a checked spec and the caller's settings into the definition that is recorded and run."""
