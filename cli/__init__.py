"""The command line `orc`: the table of commands, shared options, errors and exit codes."""
