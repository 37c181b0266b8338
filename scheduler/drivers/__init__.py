"""Drivers of engines: separate processes that speak with a cluster, and with orc in lines of JSON."""
