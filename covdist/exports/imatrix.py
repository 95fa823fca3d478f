"""``imatrix``: the importance matrix of llama.cpp, a GGUF file of sums of squares of each weight's inputs.

``NAME.in_sum2`` and ``NAME.in_sum`` (columns, experts) and ``NAME.counts`` (1, experts), all float32, as llama-imatrix
writes them and llama-quantize reads them. A layer is called as llama.cpp calls the weight, such as
``blk.0.attn_q.weight``, with or without ``/input`` or ``/activation`` behind it. Groups by ``expert`` are its experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from covdist.errors import DataError, shown
from covdist.exports._statistics import INPUTS, float32, module_of, plain
from covdist.results.looks.counts import totals
from covdist.results.moments import Moments
from covdist.state.base import ColumnState

GROUPS = True  # its experts
_LONGEST = 63 - len(".in_sum2")  # bytes of a name: ggml has room for 64 with what follows, and the end
_CHUNK = 512  # tokens of a chunk: llama-imatrix's own default


def write_all(states: Mapping[str, Moments], path: Path, *, name: str = "", dataset: str = "covdist") -> None:
    """Write the sums of all layers; ``name`` is the weight's where one state without a name is given."""
    writer, most = _writer(path), 0
    try:
        for node, m in states.items():
            weight = _weight(node or name)
            try:
                squares, sums, counts = _sums(m)
            except DataError as error:
                raise DataError(f"{weight}: {error}") from error
            writer.add_tensor(f"{weight}.in_sum2", squares)
            writer.add_tensor(f"{weight}.in_sum", sums)
            writer.add_tensor(f"{weight}.counts", counts)
            most = max(most, int(counts.max(initial=0)))
        writer.add_string("general.type", "imatrix")
        writer.add_array("imatrix.datasets", [dataset])
        writer.add_uint32("imatrix.chunk_count", -(-most // _CHUNK))
        writer.add_uint32("imatrix.chunk_size", _CHUNK)
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _sums(m: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sums of squares, sums and counts, with an axis of the experts in front."""
    groups = m.layout.groups
    if groups is not None and not (groups.dim == "expert" and np.array_equal(groups.values, np.arange(groups.size))):
        raise DataError(
            f"the state has {m.layout.grouped()}, where an imatrix file has one state, or groups by 'expert' from 0 on "
            "without a gap: pick one group by .sel(...) or --sel, or add up all by .merge(...)"
        )
    if (m.read_columns(_rows, dtype=np.int64) != m.rows).any():
        raise DataError("its columns have rows of their own, where an imatrix file counts them together")
    experts, weight = 1 if groups is None else groups.size, totals(m).reshape(-1, 1)
    mean = plain(m.mean(), 1).reshape(experts, -1)
    variance = plain(m.var(), 1).reshape(experts, -1)
    squares = float32(weight * (variance + mean**2), "sum of squares", "imatrix")
    return squares, float32(weight * mean, "sum", "imatrix"), weight.astype(np.float32)


def _rows(columns: ColumnState) -> np.ndarray:
    return columns.rows()


def _weight(node: str) -> str:
    """Return the name of a layer's weight."""
    layer, variable = module_of(node)
    weight = layer if layer and variable in INPUTS else node.replace("/", ".")
    if not weight:
        raise DataError("a state without a name: pass that of the weight, such as name='blk.0.attn_q.weight' (--name)")
    if len(weight.encode()) > _LONGEST:
        raise DataError(f"{shown(weight)} is longer than the {_LONGEST} bytes that llama.cpp has for a weight's name")
    return weight


def _writer(path: Path) -> Any:
    try:
        from gguf import GGUFWriter
    except ImportError as error:
        raise DataError(f"imatrix files need the package gguf ({error}): pip install 'covdist[exports]'") from error

    class Writer(GGUFWriter):  # type: ignore[misc, unused-ignore]
        """Names no architecture: the file is no model."""

        def add_architecture(self) -> None:
            pass

    return Writer(path, "")
