"""The certificates that the script makes let those in who have one, and nobody else."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from distributed import Client, Scheduler, Security, Worker

from tests.deploy.files import DEPLOY

SCRIPT = DEPLOY / "tls" / "make-certs.sh"


def openssl(folder: Path, *arguments: str) -> str:
    command = ["openssl", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=200).stdout


def made(folder: Path, *arguments: str) -> Path:
    subprocess.run([SCRIPT, folder, *arguments], check=True, capture_output=True, timeout=250)
    return folder


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return made(tmp_path_factory.mktemp("tls") / "certs", "-d", "2", "-n", "node.example", "-n", "10.0.0.1")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    return made(tmp_path_factory.mktemp("foreign") / "certs")


def security(certs: Path, ca: Path | None = None, client: str = "client") -> Security:
    roles = {"scheduler": "scheduler", "worker": "worker", "client": client}
    files = {f"tls_{role}_cert": str(certs / f"{name}.pem") for role, name in roles.items()}
    keys = {f"tls_{role}_key": str(certs / f"{role}-key.pem") for role in roles}
    return Security(tls_ca_file=str((ca or certs) / "ca.pem"), require_encryption=True, **files, **keys)


async def answer(certs: Path, client: Security | None, scheme: str = "tls") -> int:
    """Ask a real scheduler and worker on loopback for a sum."""
    inside = security(certs)
    options = {"host": "127.0.0.1", "security": inside, "dashboard_address": "127.0.0.1:0"}
    async with (
        Scheduler(protocol="tls", port=0, **options) as scheduler,
        Worker(scheduler.address, nthreads=1, **options),
    ):
        address = scheduler.address.replace("tls://", f"{scheme}://")
        async with Client(address, security=client, asynchronous=True, timeout=5) as found:
            return await found.submit(sum, [1, 2, 3])


def ask(certs: Path, client: Security | None, scheme: str = "tls") -> int:
    return asyncio.run(asyncio.wait_for(answer(certs, client, scheme), 200))


def test_members_of_the_cluster_work_together(certs):
    assert ask(certs, security(certs)) == 6


REFUSED = pytest.raises((OSError, TimeoutError))


def test_a_client_without_tls_is_refused(certs):
    with REFUSED:
        ask(certs, None, "tcp")


def test_a_client_of_another_authority_is_refused(certs, foreign):
    with REFUSED:
        ask(certs, security(foreign))
    with REFUSED:  # it would take the cluster for its own
        ask(certs, security(foreign, ca=certs))


def test_an_expired_certificate_is_refused(certs):
    openssl(certs, "req", "-new", "-key", "client-key.pem", "-subj", "/CN=late", "-out", "late.csr")
    openssl(
        certs, "x509", "-req", "-days", "-1", "-in", "late.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
        "-CAcreateserial", "-out", "late.pem",
    )  # fmt: skip
    with REFUSED:
        ask(certs, security(certs, client="late"))


def test_certificates_say_what_they_are_for(certs):
    for role in ("scheduler", "worker", "client"):
        openssl(certs, "verify", "-CAfile", "ca.pem", "-purpose", "sslclient", f"{role}.pem")
        text = subprocess.run(
            ["openssl", "x509", "-in", certs / f"{role}.pem", "-noout", "-text"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert ("TLS Web Server Authentication" in text) == (role != "client")
        for name in ("DNS:localhost", "IP Address:127.0.0.1", "DNS:node.example", "IP Address:10.0.0.1"):
            assert name in text
    openssl(certs, "x509", "-in", "worker.pem", "-noout", "-checkend", "86400")


def test_keys_are_for_their_owner_alone(certs):
    for key in certs.glob("*-key.pem"):
        assert key.stat().st_mode & 0o077 == 0


def test_an_authority_is_never_overwritten(certs):
    before = (certs / "ca.pem").read_bytes()
    found = subprocess.run([SCRIPT, certs], capture_output=True, text=True, check=False, timeout=200)
    assert found.returncode == 1
    assert "exists already" in found.stderr
    assert (certs / "ca.pem").read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["-d", "3"], ["certs", "-x"]])
def test_wrong_usage(tmp_path, arguments):
    found = subprocess.run([SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    assert found.returncode == 2
    assert "make-certs.sh DIRECTORY" in found.stderr
    assert list(tmp_path.iterdir()) == []
