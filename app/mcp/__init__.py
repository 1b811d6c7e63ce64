"""MCP: the same engine for every MCP host, over stdio and HTTP."""
