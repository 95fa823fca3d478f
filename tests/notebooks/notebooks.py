"""The notebooks, and how one of them is run with its claims checked.

A text cell that says something about the numbers above it has them as ``claims`` in its metadata, expressions that must
be true there. JupyterLab keeps such metadata and does not show it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

PATHS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
QUICKSTART = next(path for path in PATHS if path.stem == "quickstart")

_CHECK = """
for claim in {claims!r}:
    assert eval(claim), "the notebook says otherwise: " + claim
"""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def tagged(notebook: Any, tag: str) -> list[Any]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def claims(notebook: Any) -> list[str]:
    return [claim for cell in notebook.cells for claim in cell.metadata.get("claims", [])]


def run(path: Path, home: Path, **parameters: Any) -> Any:
    """Run a notebook in the folder ``home``, with its claims behind each cell that makes some; return it."""
    notebook = read(path)
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell in tagged(notebook, "parameters"):
            cells += [nbformat.v4.new_code_cell(f"{name} = {value!r}") for name, value in parameters.items()]
        if "claims" in cell.metadata:
            cells.append(nbformat.v4.new_code_cell(_CHECK.format(claims=cell.metadata["claims"])))
    notebook.cells = cells
    # On cores that other tests share, threads of BLAS wait for each other, many times longer than they compute.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": home}})
    client.execute(env=environment)
    return notebook
