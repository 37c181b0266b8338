"""MCP servers for tests, as scripts."""
