"""A server of the official package: tools that count words, show the environment, and fail."""

import os
import sys
import time
from pathlib import Path

from mcp.server import MCPServer
from mcp_types import ImageContent

server = MCPServer("words", log_level="ERROR")


@server.tool()
def count_words(text: str) -> int:
    """Counts the words of a text."""
    with Path(os.environ.get("CALLS", os.devnull)).open("a") as file:
        file.write(text + "\n")
    return len(text.split())


@server.tool()
def environment() -> list[str]:
    """The names of the server's variables."""
    return sorted(os.environ)


@server.tool()
def place() -> str:
    """The folder in which the server runs."""
    return str(Path.cwd())


@server.tool()
def fail(message: str) -> str:
    """Fails."""
    raise ValueError(message)


@server.tool()
def picture() -> ImageContent:
    """A picture."""
    return ImageContent(type="image", data="AAAA", mime_type="image/png")


@server.tool()
def echo(name: str) -> str:
    """The value of a variable."""
    print(f"asked for {name}: {os.environ.get(name)}", file=sys.stderr)
    return str(os.environ.get(name))


@server.tool()
def sleep(seconds: float) -> str:
    """Sleeps."""
    time.sleep(seconds)
    return "awake"


@server.tool()
def leave() -> str:
    """Ends the server."""
    os._exit(7)


@server.tool()
def large(size: int) -> str:
    """A long text."""
    return "x" * size


if __name__ == "__main__":
    server.run()
