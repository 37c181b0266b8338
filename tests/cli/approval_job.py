"""A job that waits for a decision, for the tests of `orc approve` and `orc reject`."""

from __future__ import annotations

SPEC = """\
project: asking
steps:
  text: {value: the text}
  gate:
    approval: {message: "Publish ${{ steps.text.output }}?", options: [approve, later, reject]}
    continue_on_error: true
  go: {if: "steps.gate.output.decision == 'approve'", run: echo gone}
  after: {needs: gate, value: "${{ steps.gate.output.decision }}"}
"""
