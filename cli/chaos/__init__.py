"""`orc chaos`: a spec's job is killed after each commit, resumed, and compared."""
