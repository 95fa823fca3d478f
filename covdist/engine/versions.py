"""Compares the versions of client, scheduler and workers before they misunderstand each other."""

from __future__ import annotations

from typing import Any

from distributed import Client

from covdist.errors import ClusterError

_SAME = ("covdist", "dask", "distributed", "numpy")


def check_versions(client: Client) -> None:
    """Raise ClusterError if a package differs on which messages or results depend."""
    versions: Any = client.get_versions(packages=["covdist"])
    here = _relevant(versions["client"])
    workers = {f"worker {name}": each for name, each in versions["workers"].items()}
    for name, each in {"the scheduler": versions["scheduler"], **workers}.items():
        for package, version in _relevant(each).items():
            if version != here[package]:
                raise ClusterError(
                    f"{name} has {package} {version or '(none)'} but here it is {here[package]}: "
                    "install the same on client, scheduler and workers"
                )


def _relevant(about: dict[str, Any]) -> dict[str, str | None]:
    packages = about["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"python": python, **{name: packages.get(name) for name in _SAME}}
