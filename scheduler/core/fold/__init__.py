"""The state of a job as a fold of its events, with the indexes that keep each question cheap."""
