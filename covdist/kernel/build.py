"""Compiles the kernel into one shared library, where there is a C compiler: ``python -m covdist.kernel.build``."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

SOURCES = Path(__file__).with_name("src")
LIBRARY = Path(__file__).with_name("libcovdist.so")
# Contraction would fuse a multiplication and an addition that numpy keeps apart.
_FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"]
# Instruction sets, each with all before it; processors that are not x86-64 have the first alone, with NEON on arm64.
_FLAGS_OF = {"plain": [], "avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4"]}
LEVELS = tuple(_FLAGS_OF)
_OF_LEVELS = "copies", "files", "frames", "groups", "pass", "product", "segment"  # sources that are compiled for each


def compiler() -> str | None:
    """Return the C compiler, or nothing where there is none."""
    return os.environ.get("CC") or next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def levels(cc: str) -> tuple[str, ...]:
    """Return the instruction sets of the machine that a compiler compiles for."""
    machine = subprocess.run([*cc.split(), "-dumpmachine"], check=True, capture_output=True, text=True).stdout
    return LEVELS if machine.startswith(("x86_64", "amd64")) else LEVELS[:1]


def digest() -> str:
    """Return what tells these sources from others."""
    held = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        held.update(path.read_bytes())
    return held.hexdigest()[:16]


def up_to_date() -> bool:
    """Tell whether the installed library is younger than its sources and these lines, and no compiler is asked for."""
    sources = [*SOURCES.iterdir(), Path(__file__)]
    newest = max(path.stat().st_mtime_ns for path in sources)
    return "CC" not in os.environ and LIBRARY.exists() and LIBRARY.stat().st_mtime_ns > newest


def compile_to(library: Path, cc: str, extra: Sequence[str] = ()) -> None:
    """Compile all instruction sets into one shared library; raise CalledProcessError where the compiler does."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        one = partial(_object, [*cc.split(), *_FLAGS, *extra, f'-DDIGEST="{digest()}"'], Path(folder))
        objects = list(pool.map(one, [("plain", "level"), *product(levels(cc), _OF_LEVELS)]))
        target = library.with_suffix(f".{os.getpid()}")  # renamed when it is whole
        subprocess.run([*cc.split(), "-shared", *extra, *objects, "-o", str(target), "-lm"], check=True)
        target.replace(library)


def _object(command: list[str], folder: Path, of: tuple[str, str]) -> str:
    level, source = of
    out = str(folder / f"{source}-{level}.o")
    place = ["-c", str(SOURCES / f"{source}.c"), "-o", out]
    subprocess.run([*command, *_FLAGS_OF[level], f"-DISA={level}", *place], check=True)
    return out


def platform_tag(library: Path) -> str:
    """Return the platform of a wheel with this library: on Linux the oldest glibc that has what it calls."""
    own = re.sub(r"[-.]", "_", sysconfig.get_platform())
    calls = re.findall(rb"GLIBC_(\d+)\.(\d+)", library.read_bytes())
    if not own.startswith("linux") or not calls:
        return own
    newest = max(tuple(map(int, call)) for call in calls)
    return own.replace("linux", "manylinux_{}_{}".format(*max(newest, (2, 17))), 1)


if __name__ == "__main__":
    compile_to(LIBRARY, sys.argv[1] if len(sys.argv) > 1 else compiler() or "cc", sys.argv[2:])
