"""The output on a terminal: safe text, tables, displays of a run, events as lines."""
