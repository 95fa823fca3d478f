"""What a user reads whose certificates are not those of the cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.running import output
from tests.deploy.files import DEPLOY
from tests.jobs.clusters import called, cluster, patchy_log


def certificates(folder: Path) -> Path:
    subprocess.run([DEPLOY / "tls" / "make-certs.sh", folder], check=True, capture_output=True, timeout=250)
    return folder


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls") / "certs")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("foreign") / "certs")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return patchy_log(tmp_path_factory.mktemp("log") / "log.zarr", 400)


@pytest.fixture(scope="module")
def found(certs, tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster"), 1, certs) as running:
        yield running


def shown(ca: Path, own: Path, name: str = "client") -> list[object]:
    return ["--tls-ca", ca / "ca.pem", "--tls-cert", own / f"{name}.pem", "--tls-key", own / f"{name}-key.pem"]


def test_a_job_runs_with_tls(found, certs, log, tmp_path):
    job = tmp_path / "job"
    fill = ("--missing-chunks", "fill")
    output("submit", log, *fill, "--job", job, "--scheduler-file", found.file, *shown(certs, certs))
    output("wait", job)


def test_those_without_are_refused_readably(found, certs, foreign, log, tmp_path, monkeypatch):
    monkeypatch.setattr("covdist.engine.cluster._PATIENCE", 1e6)  # nobody waits for an answer
    submit = ["submit", log, "--job", tmp_path / "job", "--scheduler", found.address]
    assert "TLS" in called(*submit, code=1)
    assert "authority" in called(*submit, *shown(foreign, certs), code=1)
    assert "authority" in called(*submit, *shown(certs, foreign), code=1)
    submit[-1] = found.address.replace("tls://", "tcp://")
    assert "tls://" in called(*submit, *shown(certs, certs), code=1)


def test_files_that_are_none_are_named(certs, foreign, log, tmp_path):
    run = ["submit", log, "--job", tmp_path / "job", "--scheduler", "tls://127.0.0.1:1"]
    assert "gone" in called(*run, *shown(certs, tmp_path / "gone"), code=1)
    assert "ca.pem" in called(*run, *shown(tmp_path, certs), code=1)
    mixed = ["--tls-cert", foreign / "client.pem", "--tls-key", certs / "client-key.pem"]
    assert "client-key.pem" in called(*run, "--tls-ca", certs / "ca.pem", *mixed, code=1)


def test_certificates_go_together_and_to_a_named_scheduler(certs, log, tmp_path):
    run = ["run", log, "-o", tmp_path / "out.zarr"]
    assert "all three" in called(*run, "--tls-ca", certs / "ca.pem", code=2)
    assert "--scheduler" in called(*run, *shown(certs, certs), code=2)
