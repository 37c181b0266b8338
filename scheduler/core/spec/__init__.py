"""From the text of a spec to a checked `JobSpec`, or to every problem that it has."""
