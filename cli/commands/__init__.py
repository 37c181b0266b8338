"""The commands, a module for each group of them. Each imports what costs inside its functions."""
