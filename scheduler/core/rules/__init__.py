"""What happens next: `decide(state, command) -> events`, one module for each group of rules."""
