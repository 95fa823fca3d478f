"""The examples of docs/acting.md run as they stand, and training scripts take no package but numpy."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "acting.md"
BLOCK = re.compile(r"^([^\n]*)\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    blocks = list(BLOCK.finditer(text))
    namespace: dict[str, object] = {}
    for block in blocks:
        before, code = block.groups()
        if before.startswith("In the training script"):
            assert code.startswith("import numpy as np\n")
            assert "covdist" not in code
            assert len([line for line in code.splitlines() if line]) <= 12
        line = text[: block.start(2)].count("\n")
        exec(compile("\n" * line + code, PAGE, "exec"), namespace)
    assert len(blocks) == text.count("```python") == 11
