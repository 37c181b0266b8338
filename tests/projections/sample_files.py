"""Files of every form, honest and hostile, for the tests of pages and exports."""

from __future__ import annotations

import json
import struct
import zlib

from tests.builders import step
from tests.projections.served import HOSTILE, MARKUP, OBEYED
from tests.projections.support import Story, begun


def png(width: int, height: int) -> bytes:
    """A grey PNG image."""
    rows = b"".join(b"\0" + bytes((x * 3 + y) % 256 for x in range(width)) for y in range(height))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def pdf(text: str, *, script: str = "") -> bytes:
    """A PDF document with one line, and with a script that it runs when it is opened."""
    action = f"/OpenAction << /S /JavaScript /JS ({script}) >>" if script else ""
    stream = f"BT /F1 24 Tf 20 100 Td ({text}) Tj ET"
    objects = (
        f"<< /Type /Catalog /Pages 2 0 R {action} >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >> stream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    return (
        f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    ).encode()


HOSTILE_SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='40' "
    "height='40' onload='alert(1)'><script>alert(2)</script>"
    "<script href='http://evil.example/x.js'/><image href='http://evil.example/x.png'/>"
    "<style>@import url(http://evil.example/x.css);</style>"
    "<foreignObject><iframe xmlns='http://www.w3.org/1999/xhtml' src='javascript:alert(3)'/>"
    "</foreignObject><a xlink:href='javascript:alert(4)'><rect width='40' height='40' fill='red'/>"
    "</a></svg>"
)
TEXT = f"{HOSTILE}\n{MARKUP}{OBEYED}\n"
FILES: dict[str, bytes] = {
    "chart.png": png(120, 80),
    "drawing.svg": HOSTILE_SVG.encode(),
    "page.html": TEXT.encode(),
    "paper.pdf": pdf("Hello from a paper", script="app.alert\\(1\\)"),
    "data.csv": ("name,value\n" + "".join(f"row {n},{n * 1.5}\n" for n in range(1, 251))).encode(),
    "hostile.csv": f'a,"{MARKUP.replace(chr(34), chr(34) * 2)}"\n"{HOSTILE}",{OBEYED},3\n'.encode(),
    "lines.jsonl": "".join(json.dumps({"n": n, "text": TEXT}) + "\n" for n in range(3)).encode(),
    "value.json": json.dumps({TEXT: [TEXT, 1.0, None, {}]}).encode(),
    "notes/report.md": (
        "# Report\n\nSee [the paper](https://orc.example/paper).\n\n![chart](../chart.png)\n"
        "![gone](nothing.png) ![tracker](http://evil.example/t.png)\n\n"
        f"| a | b |\n|---|---|\n| 1 | {HOSTILE} |\n\n```python\ndef f():\n    return 1\n```\n\n{TEXT}"
    ).encode(),
    "code.py": f'"""{TEXT}"""\n\n\ndef f(x: int) -> str:\n    return f"{{x}}"  # {TEXT}'.encode(),
    "plain.txt": TEXT.encode(),
    "bytes.bin": bytes(range(256)),
    "wrong.png": TEXT.encode(),
}
"""The files by path."""


def files_story() -> Story:
    """A job whose one step wrote all of `FILES`."""
    story = begun(step("a", prompt="?")).start("a").call("a", number=1, ends="replied")
    return story.succeed("a", "done", files={f"demo/{path}": FILES[path] for path in FILES})
