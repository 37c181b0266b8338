"""Questions about the past of jobs: times, the origin of files, earlier specs, and differences."""
