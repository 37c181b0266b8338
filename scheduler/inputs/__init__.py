"""Inputs of jobs that are files and tables: as templates see them, and as commands get them."""
