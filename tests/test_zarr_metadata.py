"""Metadata of thousands of arrays: understood once where they are alike, and told of each as zarr tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, ShardingCodec, TransposeCodec

from covdist.errors import LogError
from covdist.logs.zarr import metadata
from covdist.logs.zarr.metadata import array_metadata

ARRAYS: dict[str, dict[str, Any]] = {
    "float": {"dtype": "f4", "chunks": (5, 3)},
    "fill": {"dtype": "f8", "chunks": (7, 3), "fill_value": np.nan},
    "int": {"dtype": ">i2", "chunks": (20, 1), "dimension_names": ("t", "u")},
    "names": {"dtype": "f4", "chunks": (5, 3), "dimension_names": (None, "u")},
    "blosc": {"dtype": "f4", "chunks": (4, 3), "compressors": BloscCodec()},
    "transposed": {"dtype": "f4", "chunks": (4, 3), "filters": TransposeCodec(order=(1, 0))},
    "shards": {"dtype": "f4", "chunks": (4, 3), "serializer": ShardingCodec(chunk_shape=(2, 3)), "compressors": None},
    "two": {"dtype": "f4", "chunks": (4, 3), "zarr_format": 2},
}  # fmt: skip


def contents(folder: Path, shapes: list[tuple[int, int]]) -> list[dict[str, Any]]:
    found = []
    for name, options in ARRAYS.items():
        for shape in shapes:
            place = folder / f"{name}{shape[0]}"
            zarr.create_array(place, shape=shape, attributes={"at": name}, **options)
            two = options.get("zarr_format") == 2
            found.append(json.loads((place / (".zarray" if two else "zarr.json")).read_text()))
    return found


def test_metadata_like_others_are_those_that_zarr_makes(tmp_path):
    metadata._alike.cache_clear()
    for content in contents(tmp_path, [(20, 3), (9, 3), (0, 3)]):
        assert repr(array_metadata(content, "x")) == repr(array_metadata(content, "x", metadata._zarrs(content, "x")))
    assert metadata._alike.cache_info().hits >= 12


@pytest.mark.parametrize(
    "changes",
    [
        {"data_type": "float99"}, {"fill_value": "none"}, {"codecs": [{"name": "rot13"}]}, {"unknown": {"a": 1}},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [5]}}},
        {"shape": [20, 3, 1], "dimension_names": None},
    ],
)  # fmt: skip
def test_what_zarr_refuses_is_refused_in_its_words_beside_others(changes, tmp_path):
    content = contents(tmp_path, [(20, 3)])[0]
    array_metadata(content, "x")
    for place in ("y", "z"):
        with pytest.raises(LogError) as expected:
            array_metadata({**content, **changes}, place, metadata._zarrs({**content, **changes}, place))
        with pytest.raises(LogError) as found:
            array_metadata({**content, **changes}, place)
        assert str(found.value) == str(expected.value)
        assert place in str(found.value)
