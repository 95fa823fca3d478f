"""What hatchling runs while it builds a wheel: compiles the kernel, or does without where no compiler can."""

from __future__ import annotations

import os
import runpy
import subprocess
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelHook(BuildHookInterface[Any]):  # type: ignore[misc]
    """Puts the compiled library into wheels and editable installs; ``COVDIST_KERNEL=numpy`` leaves it out."""

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the library that went into the wheel."""
        self._folder.cleanup()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        build = runpy.run_path(str(Path(self.root, "covdist", "kernel", "build.py")))
        installed: Path = build["LIBRARY"]
        editable = version == "editable"
        library = installed if editable else Path(self._folder.name, installed.name)
        compiler = build["compiler"]()
        if compiler is None or os.environ.get("COVDIST_KERNEL") == "numpy":
            library.unlink(missing_ok=True)
            return
        try:
            if not (editable and build["up_to_date"]()):
                build["compile_to"](library, compiler)  # an older one is there to the end, for whoever runs meanwhile
        except (OSError, subprocess.CalledProcessError) as error:
            library.unlink(missing_ok=True)
            self.app.display_warning(f"the kernel was not compiled, numpy folds instead: {error}")
            return
        if not editable:
            build_data["force_include"][str(library)] = str(installed.relative_to(self.root))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{build['platform_tag'](library)}"
