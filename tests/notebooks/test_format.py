"""Notebooks are as they are committed: no outputs, no traces of a machine, the same first and last cells."""

from __future__ import annotations

import ast
import json
import re

import nbformat
import pytest

from . import notebooks

FOUND = pytest.mark.parametrize("path", notebooks.PATHS, ids=lambda path: path.stem)


def test_they_are_found():
    assert len(notebooks.PATHS) >= 10


@FOUND
def test_nothing_has_been_run(path):
    notebook = notebooks.read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None), cell.id


@FOUND
def test_metadata_name_no_machine(path):
    content = json.loads(path.read_text())
    assert content["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in content["cells"]:
        assert set(cell["metadata"]) <= {"tags", "claims"}
    assert not re.search(r"/home/|/root|/tmp|/Users/|https?://", path.read_text())


@FOUND
def test_parameters_come_first_among_code(path):
    notebook = notebooks.read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (parameters,) = notebooks.tagged(notebook, "parameters")
    assert parameters is code[0]
    named = {statement.targets[0].id: statement.value.value for statement in ast.parse(parameters.source).body}
    assert named == {"scheduler": None, "folder": None}


@FOUND
def test_they_ask_show_and_conclude(path):
    notebook = notebooks.read(path)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "covdist.plot." in code or "plt." in code or path.stem == "other_tools"
    assert notebooks.claims(notebook)
    for claim in notebooks.claims(notebook):
        ast.parse(claim, mode="eval")


@FOUND
def test_the_docs_list_it(path):
    page = (path.parents[1] / "docs" / "notebooks.md").read_text()
    assert page.count(f"(../notebooks/{path.name})") == 1
