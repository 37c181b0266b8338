"""Use cases without a terminal: submit, own, resume, fork, replay, amend, decide, bundle, remove."""
