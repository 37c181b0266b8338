"""What people see in a terminal: safe text, tables, the live display, the wording of events."""
