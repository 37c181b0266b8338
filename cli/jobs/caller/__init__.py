"""What the caller provides for a job: spec, inputs, prices, secrets, recorded replies, trust."""
