"""What is particular to named servers: those that orc knows, and what goes back to each."""
