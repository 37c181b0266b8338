"""The read model: the tables of `runs.db` that people query, their rows, and how events change them."""
