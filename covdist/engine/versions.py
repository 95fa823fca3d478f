"""Compares what client, scheduler and workers run, before they fail to understand each other."""

from __future__ import annotations

from typing import Any

from distributed import Client

from covdist.errors import ClusterError

_SAME = ("covdist", "dask", "distributed", "numpy")


def check_versions(client: Client) -> None:
    """Raise ClusterError where a version differs that decides what can be sent, or what comes out."""
    found: Any = client.get_versions(packages=["covdist"])
    mine = _relevant(found["client"])
    others = {"the scheduler": found["scheduler"], **{f"worker {name}": one for name, one in found["workers"].items()}}
    for name, one in others.items():
        for package, version in _relevant(one).items():
            if version != mine[package]:
                raise ClusterError(
                    f"{name} has {package} {version or '(none)'} but here it is {mine[package]}: "
                    "install the same on client, scheduler and workers"
                )


def _relevant(about: dict[str, Any]) -> dict[str, str | None]:
    packages = about["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"python": python, **{name: packages.get(name) for name in _SAME}}
