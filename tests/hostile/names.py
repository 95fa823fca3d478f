"""Names that terminals, tables and pages would act on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.hostile.case import VALUES, Case, group, v3
from tests.hostile.metadata import _members

NAMES = {
    "ansi": "red\x1b[31m\x1b]0;title\x07", "newline": "a\nb\r\tc", "bidi": "abc\u202egnp.exe\u2066",
    "null-like": "\x01\x7f\x9b",
    "markup": "[bold red]x[/]", "closing": "[/bold]", "html": "<script>alert(1)</script>", "long": "x" * 10_000,
    "wide": "\U0001f9e0" * 3000, "combining": "a" + "\u0301" * 5000, "separators": "a\u2028b\u2029c\u00adx\u200b",
}  # fmt: skip


def cases() -> Iterator[Case]:
    for name, text in NAMES.items():
        fast = name in ("ansi", "long", "closing")
        yield Case(f"npz-{name}", partial(_members, [text.replace("/", "|")]), "read", fast=fast)
        yield Case(f"dims-{name}", partial(v3, dimension_names=[text, text + "2"]), "read", fast=fast)
        yield Case(f"codec-{name}", partial(v3, codecs=[{"name": text}]))
        yield Case(f"dtype-{name}", partial(v3, data_type=text))
        yield Case(f"attribute-{name}", partial(v3, attributes={text: text, "units": text}), "read")
        if len(text.encode()) < 200:
            yield Case(f"layer-{name}", partial(_layer, text.replace("/", "|")), "read", fast=fast)
            yield Case(f"npy-{name}", partial(_file, text.replace("/", "|")), "read")
            yield Case(f"path-{name}", partial(_text, text.replace("/", "|")))


def _layer(name: str, folder: Path) -> Path:
    group(folder)
    v3(folder / name / "a")
    return folder


def _file(name: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / f"{name}.npy", VALUES)
    return folder


def _text(name: str, folder: Path) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "zarr.json").write_text(json.dumps({"node_type": name}))
    return folder / name
