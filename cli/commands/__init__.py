"""One module for each command of `orc`: its options, and what it prints."""
