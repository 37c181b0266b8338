"""Two jobs with scores, whose texts are hostile where a model or a user chooses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orc
from tests.projections.served import HOSTILE

CASES = [{"q": "one", "n": 1}, {"q": "two", "n": 2}, {"q": HOSTILE, "n": 3}, {"q": "gone", "n": 0}]
SPEC: dict[str, Any] = {
    "project": "eval",
    "inputs": {
        "cases": {"type": "list"},
        "shift": {"type": "integer"},
        "hostile": {"type": "string"},
    },
    "steps": {
        "answer": {
            "matrix": {"model": ["small", "large"], "case": "${{ inputs.cases }}"},
            "continue_on_error": True,
            "value": "${{ matrix.model ~ ' says ' ~ (60 // matrix.case.n) ~ inputs.hostile "
            "~ inputs.shift }}",
            "score": {
                "exact": {
                    "value": "${{ matrix.model == 'large' or matrix.case.n == 1 + inputs.shift }}",
                    "why": "because ${{ inputs.hostile }}",
                },
                "size": "${{ matrix.case.n * 2.5 + inputs.shift }}",
                "broken": "${{ output.nothing }}",
            },
        },
        "report": {
            "needs": ["answer"],
            "value": "line\nshift ${{ inputs.shift }}",
            "files": [{"path": "report.md"}],
        },
    },
}


def run_scored(folder: Path, *, shifts: tuple[int, ...] = (0, 1)) -> list[str]:
    """The ids of jobs of one project in `runs.db`; each has other scores and outputs."""
    spec = folder / "eval.yaml"
    spec.write_text(json.dumps(SPEC))
    return [
        str(
            orc.run(
                spec,
                db=folder / "runs.db",
                inputs={"cases": CASES, "shift": shift, "hostile": HOSTILE},
            ).job_id
        )
        for shift in shifts
    ]
