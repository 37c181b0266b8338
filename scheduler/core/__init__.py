"""The pure core: functions from values to values, without I/O, clocks, random numbers or trio."""
