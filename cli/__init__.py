"""The command line: `orc`."""
