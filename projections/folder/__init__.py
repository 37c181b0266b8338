"""The run folder: its files as a fold of a job's events, and how they are published and checked."""
