"""What the files say is well formed, and names commands and options that exist."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.deploy.files import BATCH, COMPOSE, DEPLOY, KUBERNETES, UNITS, commands, containers, help_of, loaded


@pytest.mark.parametrize(("file", "words"), commands(), ids=lambda value: str(value)[:60])
def test_commands_and_their_options_exist(file, words):
    program, command = words[:2]
    said = help_of(program, command)
    for word in words[2:]:
        if word.startswith("-"):
            assert f"{word} " in said or f"{word}," in said, f"{file}: {program} {command} has no option {word}"


def test_some_command_of_every_file_is_looked_at():
    names = {file for file, _ in commands()}
    assert names == {*(p.name for p in (*KUBERNETES, *UNITS)), COMPOSE.name, BATCH.name, "README.md"}


@pytest.mark.parametrize("path", [BATCH, DEPLOY / "tls" / "make-certs.sh"], ids=lambda path: path.name)
def test_scripts_parse(path):
    shell = "bash" if path == BATCH else "sh"
    subprocess.run([shell, "-n", path], check=True, capture_output=True, timeout=200)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", shell, path], check=True, capture_output=True, timeout=200)


def test_units_are_valid(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    dask = str(Path(sys.executable).with_name("dask"))
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/covdist/bin/dask", dask))
    found = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / unit.name for unit in UNITS)],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    about_ours = [line for line in found.stderr.splitlines() if "covdist" in line]
    assert about_ours == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_settings_of_units_are_in_their_files(unit):
    text = unit.read_text()
    (conf,) = [line.rpartition("/")[2] for line in text.splitlines() if line.startswith("EnvironmentFile=")]
    given = {line.partition("=")[0] for line in (unit.parent / conf).read_text().splitlines() if "=" in line}
    assert {part.partition("}")[0] for part in text.split("${")[1:]} == given


# ---- compose


def test_only_loopback_reaches_the_containers():
    services = loaded(COMPOSE)["services"]
    assert set(services) == {"scheduler", "worker", "lab"}
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service["cap_drop"] == ["ALL"]


def test_what_compose_mounts_and_reads_exists():
    compose = loaded(COMPOSE)
    folder = COMPOSE.parent
    for service in compose["services"].values():
        assert (folder / service["env_file"]).is_file()
        assert (folder / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith(("./certs/", "${COVDIST_DATA")) or (folder / source).is_dir()


def test_a_role_has_its_own_key_and_no_other():
    for name, service in loaded(COMPOSE)["services"].items():
        keys = {volume.split(":")[0] for volume in service["volumes"] if "-key.pem" in volume}
        assert keys == {f"./certs/{'client' if name == 'lab' else name}-key.pem"}


def test_the_image_is_made_of_files_that_exist():
    lines = (DEPLOY / "docker" / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY"):
            assert all((DEPLOY.parent / source).exists() for source in line.split()[1:-1])


def test_versions_are_pinned_and_are_such_as_the_project_asks_for():
    lines = (DEPLOY / "docker" / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    extras = re.search(r'"\.\[(.+)\]"', (DEPLOY / "docker" / "Dockerfile").read_text()).group(1).split(",")
    asked = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    for requirement in map(Requirement, asked):
        assert pinned[requirement.name] in requirement.specifier


def test_tls_settings_reach_dask():
    lines = (DEPLOY / "tls" / "environment").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    code = (
        "import dask, distributed\n"
        "s = distributed.Security()\n"
        "print(s.require_encryption, s.tls_ca_file, s.tls_scheduler_key, s.tls_worker_cert, s.tls_client_key)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **given},
        check=True,
        timeout=200,
    )
    folder = "/etc/covdist/tls"
    assert found.stdout.split() == [
        "True", *(f"{folder}/{name}.pem" for name in ("ca", "scheduler-key", "worker", "client-key")),
    ]  # fmt: skip


# ---- Kubernetes


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_kubernetes_files_fit_the_operators_schemas(path):
    content = loaded(path)
    schema = operator_schema(content["kind"])
    import jsonschema

    jsonschema.Draft202012Validator(strict(schema)).validate(content)
    wrong = {**content, "spec": {**content["spec"], "wrokers": 4}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(strict(schema)).validate(wrong)


def operator_schema(kind: str) -> Any:
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    spec = importlib.util.find_spec("dask_kubernetes")
    if spec is None or spec.origin is None:
        pytest.skip("dask-kubernetes is not installed")
    folder = Path(spec.origin).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
    definition = loaded(folder / f"{kind.lower()}.yaml")
    (version,) = [v for v in definition["spec"]["versions"] if v["name"] == "v1"]
    assert definition["spec"]["group"] == "kubernetes.dask.org"
    return version["schema"]["openAPIV3Schema"]


def strict(schema: Any, top: bool = True) -> Any:
    """Refuse what the schema does not name; kind and metadata are checked by Kubernetes itself."""
    if isinstance(schema, list):
        return [strict(inner, False) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: value if key in ("enum", "required") else strict(value, False) for key, value in schema.items()}
    if "properties" in found and isinstance(found["properties"], dict) and found.get("type") == "object":
        found["additionalProperties"] = found.get("x-kubernetes-preserve-unknown-fields", False)
        if top:
            found["properties"] = {"apiVersion": {}, "kind": {}, "metadata": {}, **found["properties"]}
    if found.pop("x-kubernetes-int-or-string", False):
        found["type"] = ["integer", "string"]
    return found


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_containers_mount_volumes_that_are_there_and_run_unprivileged(path):
    text = path.read_text()
    for container in containers(loaded(path)):
        assert container["securityContext"]["runAsNonRoot"]
        for mount in container["volumeMounts"]:
            assert f"- name: {mount['name']}\n" in text


def test_no_file_names_commands_that_are_gone():
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            assert "dask-worker" not in path.read_text()
            assert "dask-scheduler" not in path.read_text()
