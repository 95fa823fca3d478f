"""What docs/using/acting.md shows of a training script is short, and takes no package but numpy."""

from __future__ import annotations

import re

from .blocks import DOCS

BLOCK = re.compile(r"^([^\n]*)\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_training_scripts_take_no_package_but_numpy():
    found = [code for before, code in BLOCK.findall((DOCS / "using" / "acting.md").read_text()) if "script" in before]
    assert len(found) == 5
    for code in found:
        assert code.startswith("import numpy as np\n")
        assert "covdist" not in code
        assert len([line for line in code.splitlines() if line]) <= 12
