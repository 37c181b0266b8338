"""The run folder: which files it has, how they are published, and how they are verified."""
