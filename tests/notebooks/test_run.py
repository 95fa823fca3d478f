"""Every notebook runs from top to bottom, leaves nothing behind, and what it says of its numbers is true."""

from __future__ import annotations

import nbformat
import pytest
from distributed import LocalCluster
from nbclient.exceptions import CellExecutionError

from . import notebooks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.mark.parametrize("path", notebooks.PATHS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    notebooks.run(path, tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_runs_on_another_cluster(tmp_path):
    path = next(path for path in notebooks.PATHS if path.stem == "redundant_units")
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    with LocalCluster(n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        done = notebooks.run(path, home, scheduler=cluster.scheduler_address, folder=str(folder))
        assert len(cluster.scheduler.workers) == 1, "it has closed a cluster that is not its own"
        assert any(entry.finish == "memory" for entry in cluster.scheduler.transition_log), "it has asked another one"
    assert not list(folder.iterdir())
    assert not list(home.iterdir())
    assert not any(out.output_type == "error" for cell in done.cells for out in cell.get("outputs", []))


def test_a_false_claim_is_found(tmp_path):
    said = nbformat.v4.new_markdown_cell("One is two.", metadata={"claims": ["1 == 1", "1 == 2"]})
    path = tmp_path / "false.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1"), said]), path)
    with pytest.raises(CellExecutionError, match="the notebook says otherwise: 1 == 2"):
        notebooks.run(path, tmp_path)
