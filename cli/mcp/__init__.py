"""The MCP server of `orc mcp`: commands of orc as tools for a program with a model."""
