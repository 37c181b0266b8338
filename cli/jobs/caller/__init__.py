"""What the caller of a job brings: spec files, inputs, settings, prices, secrets, replies, trust."""
