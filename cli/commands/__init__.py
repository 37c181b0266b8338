"""One file for each command, named as it is typed: its options, what it does, what it prints."""
