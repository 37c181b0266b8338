"""The server of `orc browse`: its addresses, one-time links, sessions, and opening a browser."""
