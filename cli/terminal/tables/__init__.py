"""Tables on a terminal: which columns fit, and how they are drawn."""
