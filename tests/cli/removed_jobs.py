"""Jobs whose bytes are removed, for the tests of prune, redact, verify and import."""

from __future__ import annotations

import sqlite3

from orc.ledger.digest import digest_bytes

CANARY = "canary-5f1d9b3c7e"
LONG = f"{CANARY} " * 100
SPEC = f"""\
project: keeping
output_dir: out
steps:
  first: {{run: "for i in 1 2 3; do printf '%0500d' $i; done; echo '{LONG}' >&2", files: [{{path: a.txt, content: "{LONG}"}}]}}
  second: {{value: "${{{{ steps.first.output }}}}!"}}
"""  # noqa: E501
UNENDED = """\
project: unended
steps:
  a: {run: "printf '%02000d' 7"}
  ask: {needs: a, approval: {message: Go on?}}
  b: {needs: ask, value: "${{ steps.a.output }}"}
"""
FILE_DIGEST = digest_bytes(LONG.encode())


def blobs(query: str = "SELECT count(*) FROM blobs WHERE typeof(content) = 'integer'") -> int:
    connection = sqlite3.connect("runs.db")
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()
