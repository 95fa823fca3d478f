"""The kernel's bits: one hash for every compiler, instruction set and processor; and that it keeps to its arrays."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from covdist.kernel import build, library

HERE = Path(__file__).parent
EXPECTED = (HERE / "bits.txt").read_text()
EXPECTED_GUARDED = "2f07fe245c8ad01b"  # of what guarded.c prints, by SHA-256
ARM = "aarch64-linux-gnu-gcc"
SANITIZED = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
Check = Callable[..., None]


@pytest.fixture(scope="session")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Compile ``bits.c`` and ``guarded.c`` with a library for each instruction set, and compare what they print."""

    def printed(
        source: str, library_file: Path, level: str, cc: str, before: tuple[str, ...], extra: tuple[str, ...]
    ) -> str:
        program = tmp_path_factory.mktemp("bits") / source
        command = [
            cc, "-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", *extra, f"-DISA={level}",
            f"-I{build.SOURCES}", str(HERE / f"{source}.c"), "-o", str(program), str(library_file), "-lm",
            f"-Wl,-rpath,{library_file.parent}",
        ]  # fmt: skip
        subprocess.run(command, check=True)
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}  # bits.c ends with all it has
        found = subprocess.run([*before, str(program)], capture_output=True, text=True, env=environment)
        assert found.returncode == 0, f"{level} {source}: {found.stderr} after {found.stdout[-100:]}"
        return found.stdout

    def check(
        library_file: Path,
        cc: str,
        levels: Iterable[str],
        *,
        before: tuple[str, ...] = (),
        extra: tuple[str, ...] = (),
    ) -> None:
        for level in levels:
            assert printed("bits", library_file, level, cc, before, extra) == EXPECTED, level
            found = printed("guarded", library_file, level, cc, before, extra)
            assert hashlib.sha256(found.encode()).hexdigest()[:16] == EXPECTED_GUARDED, f"{level}: {found}"

    return check


def test_what_is_younger_than_its_sources_is_not_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "LIBRARY", tmp_path / "libcovdist.so")
    monkeypatch.delenv("CC", raising=False)
    assert not build.up_to_date()
    build.LIBRARY.touch()
    assert build.up_to_date()
    monkeypatch.setenv("CC", "clang")
    assert not build.up_to_date()
    monkeypatch.delenv("CC")
    os.utime(build.LIBRARY, (0, 0))
    assert not build.up_to_date()


def test_the_installed_kernel(check):
    cc = build.compiler()
    levels = library.available()[1:]
    if cc is None or not levels:
        pytest.skip("there is no compiler here")
    check(build.LIBRARY, cc, levels)


@pytest.mark.skipif(not library.compiled() or sys.platform != "linux", reason="no kernel was compiled here")
def test_what_python_gives_it_is_large_enough():
    found = subprocess.run([sys.executable, str(HERE / "guarding.py")], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "whole"), found.stderr


@pytest.mark.slow
@pytest.mark.parametrize("extra", [(), SANITIZED], ids=["plain", "sanitized"])
@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_compilers(check, tmp_path, monkeypatch, cc, extra):
    if shutil.which(cc) is None:
        pytest.skip(f"there is no {cc} here")
    run_here = [level for level in build.levels(cc) if level in library.available()]
    if extra:  # what does not run here has nothing to find
        monkeypatch.setattr(build, "levels", lambda cc: run_here)
    build.compile_to(tmp_path / "libcovdist.so", cc, ["-Werror", *extra])
    check(tmp_path / "libcovdist.so", cc, run_here, extra=extra)


@pytest.mark.slow
def test_another_processor(check, tmp_path):
    if shutil.which(ARM) is None or shutil.which("qemu-aarch64") is None:
        pytest.skip("there is no compiler for arm64 here, or no qemu-aarch64")
    build.compile_to(tmp_path / "libcovdist.so", ARM, ["-Werror"])
    check(tmp_path / "libcovdist.so", ARM, ["plain"], before=("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"))


@pytest.mark.slow
def test_avx512_is_what_it_says():
    """Where no processor runs it, its instructions are looked at: vectors of 512 bits, multiplied and added in one."""
    cc = build.compiler()
    if cc is None or shutil.which("objdump") is None or "avx512" not in build.levels(cc) or not library.compiled():
        pytest.skip("there is no compiler for AVX-512 here, or no objdump")
    command = ["objdump", "-d", "--no-show-raw-insn", str(build.LIBRARY)]
    code = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    plain, rest = code.split("<covdist_fold_plain>:")
    assert not any(name in plain for name in ("vfmadd", "ymm", "zmm"))
    wide = rest.split("<covdist_fold_avx2>:")[1]
    assert sum("vfmadd" in line and "zmm" in line for line in wide.splitlines()) >= 16
