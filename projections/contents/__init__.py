"""The contents of files as people read them: what a file is, and its tables, Markdown and code."""
