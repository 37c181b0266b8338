"""The use cases, without a terminal: submit, run, resume, fork, replay, amend, decide, remove, ..."""
