"""The command line `orc`: the table of commands, options, errors and exit codes."""
