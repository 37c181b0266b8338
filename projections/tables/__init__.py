"""The read model: the tables of `runs.db` that people query, and how events change their rows."""
