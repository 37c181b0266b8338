"""How far a running job is: counts, elapsed time, and how long it will probably still take."""
