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


OWN = ("jobs", "quickstart")  # with a cluster of their own; all others share one, which they could start alike


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as started:
        yield started


@pytest.mark.parametrize("path", [path for path in notebooks.PATHS if path.stem in OWN], ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    notebooks.run(path, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [path for path in notebooks.PATHS if path.stem not in OWN], ids=lambda path: path.stem)
def test_it_runs_on_another_cluster(path, cluster, tmp_path):
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    before = cluster.scheduler.transition_counter
    done = notebooks.run(path, home, scheduler=cluster.scheduler_address, folder=str(folder))
    assert len(cluster.scheduler.workers) == 2, "it has closed a cluster that is not its own"
    assert cluster.scheduler.transition_counter > before, "it has asked another one"
    assert not list(folder.iterdir())
    assert not list(home.iterdir())
    assert not any(out.output_type == "error" for cell in done.cells for out in cell.get("outputs", []))


def test_a_false_claim_is_found(tmp_path):
    said = nbformat.v4.new_markdown_cell("One is two.", metadata={"claims": ["1 == 1", "1 == 2"]})
    path = tmp_path / "false.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1"), said]), path)
    with pytest.raises(CellExecutionError, match="the notebook says otherwise: 1 == 2"):
        notebooks.run(path, tmp_path)
