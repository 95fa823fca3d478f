"""Spark's RowMatrix.computeCovariance, local mode, all cores, each partition reading its own chunks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.data import Log, array_path
from benchmarks.peers import Peer

_CONFIG = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "8g",
    "spark.driver.maxResultSize": "0",
}


def _cov(log: Path) -> np.ndarray:
    from pyspark.mllib.linalg import DenseVector
    from pyspark.mllib.linalg.distributed import RowMatrix

    path = str(array_path(log))
    array = zarr.open_array(path, mode="r")
    rows, height = array.shape[0], array.chunks[0]

    def read(start: int) -> Iterator[DenseVector]:
        for row in np.asarray(zarr.open_array(path, mode="r")[start : start + height]):
            yield DenseVector(row.astype("f8"))

    starts = range(0, rows, height)
    vectors = _session().sparkContext.parallelize(starts, min(len(starts), 200)).flatMap(read)
    cov = RowMatrix(vectors, rows, array.shape[1]).computeCovariance().toArray()
    return cov * (rows - 1) / rows  # Spark has ddof=1 only


def _session() -> Any:
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(f"local[{os.environ['OMP_NUM_THREADS']}]").config(map=_CONFIG)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _refuses(log: Log) -> str | None:
    if not find_spec("pyspark"):
        return "pyspark is not installed"
    return None if shutil.which("java") else "there is no java"


PEER = Peer("Spark RowMatrix", {"cov": _cov}, alone=True, prepare=_session, refuses=_refuses)
