"""What people record of jobs: scores of results, tags and notes."""
