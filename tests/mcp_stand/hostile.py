"""A server that behaves as its first argument says. It speaks the protocol without the package."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

MODE = sys.argv[1]
TOOL = {"name": "act", "description": "Acts.\x1b[31m", "inputSchema": {"type": "object"}}


def send(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def notify(data: str) -> None:
    params = {"level": "info", "data": data}
    send({"jsonrpc": "2.0", "method": "notifications/message", "params": params})


def answer(message: dict[str, Any], result: object) -> None:
    send({"jsonrpc": "2.0", "id": message["id"], "result": result})


def tools() -> list[Any]:
    match MODE:
        case "name":
            return [{**TOOL, "name": "rm -rf \x1b[2J"}]
        case "twice":
            return [TOOL, TOOL]
        case "many":
            return [{**TOOL, "name": f"tool{n}"} for n in range(150)]
        case "schema":
            return [{**TOOL, "inputSchema": {"type": "array"}}]
        case "long":
            return [{**TOOL, "inputSchema": {"type": "object", "title": "x" * 70_000}}]
        case "pattern":
            shape = {"type": "string", "pattern": "^(a+)+$"}
            return [{**TOOL, "inputSchema": {"type": "object", "properties": {"a": shape}}}]
        case _:
            return [TOOL]


def act(message: dict[str, Any]) -> None:
    match MODE:
        case "garbage":
            print("this is no JSON", flush=True)
        case "shape":
            answer(message, {"content": "no list"})
        case "half":
            # Where a message about it cuts the line, half of a secret is before the cut.
            print("x" * 70 + "secret-of-32-characters-in-a-row", flush=True)
        case "half link":
            uri = "https://x/" + "y" * 180 + "secret-of-32-characters-in-a-row"
            answer(message, {"content": [{"type": "resource_link", "name": "n", "uri": uri}]})
        case "half error":
            words = "x" * 290 + "secret-of-32-characters-in-a-row"
            error = {"code": -1, "message": words}
            send({"jsonrpc": "2.0", "id": message["id"], "error": error})
        case "deep":
            deep = "[" * 900 + "]" * 900
            head = json.dumps({"jsonrpc": "2.0", "id": message["id"]})[:-1]
            print(f'{head}, "result": {{"content": [], "structuredContent": {{"a": {deep}}}}}}}')
            sys.stdout.flush()
        case "giant":
            sys.stdout.write("x" * (9 * 1024 * 1024))
            sys.stdout.flush()
        case "flood":
            while True:
                notify("y" * 9000)
        case "asks":
            number = 0
            while True:
                number += 1
                send({"jsonrpc": "2.0", "id": number, "method": "roots/list"})
        case "some":
            for _ in range(50):
                notify("working")
            answer(message, {"content": [{"type": "text", "text": "fine"}]})
        case "die":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(3600)
        case "other":
            send({"jsonrpc": "2.0", "id": 999, "result": {}})
            answer(message, {"content": [{"type": "text", "text": "fine"}]})
        case "error":
            send(
                {
                    "jsonrpc": "2.0",
                    "id": message["id"],
                    "error": {"code": -1, "message": "no\x1b[31m"},
                }
            )
        case "structured":
            answer(message, {"content": [], "structuredContent": {"a": [1, 2]}})
        case _:
            answer(message, {"content": [{"type": "text", "text": "fine"}]})


def main() -> None:
    if MODE == "child":
        subprocess.Popen(["sleep", "3600"])
    if MODE == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE == "greeting":
        print("Welcome!", flush=True)
    if MODE == "silent":
        time.sleep(3600)
    if MODE == "exit":
        sys.exit("no licence")
    for line in sys.stdin:
        message = json.loads(line)
        match message.get("method"):
            case "initialize":
                answer(
                    message,
                    {
                        "protocolVersion": message["params"]["protocolVersion"],
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": "hostile", "version": "1"},
                    },
                )
            case "tools/list":
                if MODE == "endless":
                    answer(message, {"tools": [], "nextCursor": "again"})
                else:
                    answer(message, {"tools": tools()})
            case "tools/call":
                act(message)
    if MODE == "stubborn":
        time.sleep(3600)


if __name__ == "__main__":
    main()
