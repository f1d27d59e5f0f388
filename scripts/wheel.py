"""What hatchling does before it makes a wheel: the pages are built, which an editable installation leaves to make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Pages(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            subprocess.run([sys.executable, Path(self.root) / "scripts" / "pages.py"], check=True)
            # Not in pyproject.toml: hatchling wants what stands there to exist for an editable installation too.
            build_data["force_include"]["static/dist"] = "steadyd/static/dist"
