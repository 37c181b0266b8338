"""`orc chaos`: kills the run of a spec after each commit, resumes it, and compares the results."""
