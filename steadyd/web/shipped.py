"""Where the templates, the pages' own files and the examples lie."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def folder(name: str) -> Path:
    """`templates`, `static` or `examples`: in an installed package beside the code, in a checkout at the root."""
    installed = PACKAGE / name
    return installed if installed.is_dir() else PACKAGE.parent / name
