"""The notebook in `examples/` runs in a real kernel, and shows the progress and the job."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.processes import ROOT, orc_environment

pytestmark = pytest.mark.providers


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_and_shows_one_output_that_ends_with_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Imported here: each worker of `make test` reads this module, and none of them runs the test.
    import nbclient
    import nbformat

    for name in set(os.environ) - set(orc_environment()):
        monkeypatch.delenv(name)
    for name in ("tiny_spec.yaml", "tiny_spec.replay.yaml"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    notebook = nbformat.read(ROOT / "examples/notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=60, resources=resources).execute()

    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    progress, job = outputs["run"]
    assert "succeeded: 4 of 4 steps" in progress.data["text/plain"]
    assert '<progress max="4" value="4">' in progress.data["text/html"]
    assert "<td>architect</td>" in job.data["text/html"]
    assert outputs["outputs"][0].text.startswith("succeeded 86 $0.00")
    assert "('qa', False)" in outputs["fork"][-1].text
