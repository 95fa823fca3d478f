"""The kernel's bits: one hash for every compiler, instruction set and processor."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from covdist.kernel import build, library

HERE = Path(__file__).parent
EXPECTED = (HERE / "bits.txt").read_text()
ARM = "aarch64-linux-gnu-gcc"
Run = Callable[..., str]


@pytest.fixture(scope="session")
def hashes(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Compile ``bits.c`` with a library, and return what it prints."""

    def run(
        library_file: Path, level: str, cc: str, *, before: tuple[str, ...] = (), extra: tuple[str, ...] = ()
    ) -> str:
        program = tmp_path_factory.mktemp("bits") / "bits"
        command = [
            cc, "-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", *extra, f"-DISA={level}",
            f"-I{build.SOURCES}", str(HERE / "bits.c"), "-o", str(program), str(library_file), "-lm",
            f"-Wl,-rpath,{library_file.parent}",
        ]  # fmt: skip
        subprocess.run(command, check=True)
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}  # the program ends with all it has
        found = subprocess.run([*before, str(program)], capture_output=True, text=True, env=environment)
        assert found.returncode == 0, found.stderr
        return found.stdout

    return run


def test_the_installed_kernel(hashes):
    cc = build.compiler()
    levels = library.available()[1:]
    if cc is None or not levels:
        pytest.skip("there is no compiler here")
    for level in levels:
        assert hashes(build.LIBRARY, level, cc) == EXPECTED, level


@pytest.mark.slow
@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_compilers(hashes, tmp_path, cc):
    if shutil.which(cc) is None:
        pytest.skip(f"there is no {cc} here")
    build.compile_to(tmp_path / "libcovdist.so", cc, ["-Werror"])
    for level in set(library.available()) & set(build.levels(cc)):
        assert hashes(tmp_path / "libcovdist.so", level, cc) == EXPECTED, level


@pytest.mark.slow
def test_another_processor(hashes, tmp_path):
    if shutil.which(ARM) is None or shutil.which("qemu-aarch64") is None:
        pytest.skip("there is no compiler for arm64 here, or no qemu-aarch64")
    build.compile_to(tmp_path / "libcovdist.so", ARM, ["-Werror"])
    emulated = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
    assert hashes(tmp_path / "libcovdist.so", "plain", ARM, before=emulated) == EXPECTED


@pytest.mark.slow
def test_sanitizers_find_nothing(hashes, tmp_path):
    cc = build.compiler()
    if cc is None or not library.compiled():
        pytest.skip("no kernel was compiled here")
    checks = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    build.compile_to(tmp_path / "libcovdist.so", cc, checks)
    for level in library.available()[1:]:
        assert hashes(tmp_path / "libcovdist.so", level, cc, extra=checks) == EXPECTED, level


@pytest.mark.slow
def test_avx512_is_what_it_says(tmp_path):
    """Where no processor runs it, its instructions are looked at: vectors of 512 bits, multiplied and added in one."""
    cc = build.compiler()
    if cc is None or shutil.which("objdump") is None or "avx512" not in build.levels(cc):
        pytest.skip("there is no compiler for AVX-512 here, or no objdump")
    build.compile_to(tmp_path / "libcovdist.so", cc)
    command = ["objdump", "-d", "--no-show-raw-insn", str(tmp_path / "libcovdist.so")]
    code = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    plain, rest = code.split("<covdist_fold_plain>:")
    assert not any(name in plain for name in ("vfmadd", "ymm", "zmm"))
    wide = rest.split("<covdist_fold_avx2>:")[1]
    assert sum("vfmadd" in line and "zmm" in line for line in wide.splitlines()) >= 16
