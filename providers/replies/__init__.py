"""What a reply means: rules that all adapters share."""
