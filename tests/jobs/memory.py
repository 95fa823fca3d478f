"""A job's files in memory, and what can happen to them."""

from __future__ import annotations

from collections.abc import Callable


class Crash(BaseException):
    """The process ends here."""


class Memory:
    """A ``Place``; ``fault(name)`` says how the next write ends: "", "before", "after" or "torn"."""

    def __init__(self, fault: Callable[[str], str] = lambda name: ""):
        self.files: dict[str, bytes] = {}
        self.fault = fault

    def put(self, name: str, data: bytes) -> None:
        self._write(name, data, b"")

    def create(self, name: str, data: bytes) -> bool:
        if name in self.files:
            return False
        self._write(name, data, b"")
        return True

    def append(self, name: str, data: bytes) -> None:
        before = self.files.get(name, b"")
        self._write(name, data, before if before.endswith(b"\n") or not before else before + b"\n")

    def get(self, name: str) -> bytes | None:
        return self.files.get(name)

    def remove(self, name: str) -> None:
        self.files.pop(name, None)

    def names(self, folder: str) -> list[str]:
        return sorted(name.removeprefix(f"{folder}/") for name in self.files if name.startswith(f"{folder}/"))

    def _write(self, name: str, data: bytes, before: bytes) -> None:
        fault = self.fault(name)
        if fault == "before":
            raise Crash(name)
        self.files[name] = before + (data[: len(data) // 2] if fault == "torn" else data)
        if fault:
            raise Crash(name)
