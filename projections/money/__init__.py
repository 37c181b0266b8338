"""What calls cost: prices, sums, and how a cost is worded."""
