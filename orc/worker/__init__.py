"""What runs on a worker of a cluster: it needs the standard library only, and nothing else of orc."""
