"""What Litestream sees: a sandbox of its own, as one pure function from an `Enclosure` to bubblewrap's arguments.

One process opens the files of all apps, and an app can put anything into its folder. So the apps' folders are mounted
where links lead nowhere (mount_setattr(2), MOUNT_ATTR_NOSYMFOLLOW). bubblewrap's own binds drop that flag: where we are
root the folder is bound into the sandbox while bubblewrap waits at `--block-fd`; elsewhere paths are looked at before
they are registered. Litestream is one static program: the sandbox holds no other, and no system. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steadyd.runner.sandbox import ARGS_FD, BWRAP, INFO_FD, SECCOMP_FD, TMP_BYTES_MAX

BLOCK_FD = 7
COMMAND = (BWRAP, "--args", str(ARGS_FD), "--")
CAPABILITIES = ("CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER")
"""Of root's: to open files of any app, to leave new ones to the app, to set their times."""
PROGRAM = "/litestream"
CORNER = "/control"
"""Its socket and its configuration."""
SOCKET, CONFIG = "control.sock", "litestream.yml"
LATE = "/steadyd.folders"
"""Where folders are bound late. No system has a folder of that name at its root: so it is there only once bubblewrap
has changed the root."""
ETC = ("hosts", "resolv.conf", "nsswitch.conf")
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where systems keep their certificate authorities (Go, crypto/x509/root_linux.go): needed with a network only."""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """What one Litestream gets. Paths are the host's."""

    name: str
    program: Path
    corner: Path
    """A short path, ours alone: its socket lies there."""
    folder: Path
    """Whose databases it replicates."""
    linkless: bool = True
    """Whether links in the folder are to lead nowhere: it is somebody else's."""
    replica: Path | None = None
    """The folder that it writes to; None for a bucket, which takes a network."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """Credentials among it: it is nobody's to see."""
    hidden: Sequence[Path] = ()
    """Folders in it that are not seen."""
    masked: Sequence[Path] = ()
    """Files in it that cannot be read."""
    as_root: bool = True
    sandboxed: bool = True

    @property
    def late(self) -> bool:
        """Whether the folder is bound once the sandbox stands."""
        return self.sandboxed and self.as_root and self.linkless

    @property
    def socket(self) -> Path:
        return self.corner / SOCKET

    def inside(self, path: str) -> str:
        """What Litestream calls the file at `path` in the folder."""
        return f"{LATE if self.late else self.folder}/{path}"


def options(enclosure: Enclosure, existing: frozenset[str], disables_userns: bool) -> list[str]:
    """bubblewrap's options. `existing` are those of the paths that `optional` names which this machine has."""
    words = ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "steady"]
    words += ["--unshare-net"] if enclosure.replica is not None else []
    words += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if enclosure.as_root:
        for capability in CAPABILITIES:
            words += ["--cap-add", capability]
    else:
        words += ["--unshare-user", *(["--disable-userns"] if disables_userns else [])]
    words += ["--info-fd", str(INFO_FD), "--seccomp", str(SECCOMP_FD)]
    words += ["--block-fd", str(BLOCK_FD)] if enclosure.late else []
    words += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        str(TMP_BYTES_MAX),
        "--tmpfs",
        "/tmp",
        "--remount-ro",
        "/dev",
    ]
    words += ["--ro-bind", str(enclosure.program), PROGRAM, "--bind", str(enclosure.corner), CORNER]
    words += ["--dir", LATE] if enclosure.late else ["--bind", str(enclosure.folder), str(enclosure.folder)]
    for folder in enclosure.hidden:
        words += ["--tmpfs", str(folder)]
    for file in enclosure.masked:
        words += ["--ro-bind", "/dev/null", str(file)]
    if enclosure.replica is not None:
        words += ["--bind", str(enclosure.replica), str(enclosure.replica)]
    for path in optional(enclosure):
        words += ["--ro-bind", path, path] if path in existing else []
    words += ["--remount-ro", "/", "--chdir", "/", "--clearenv"]
    for name, value in enclosure.environ.items():
        words += ["--setenv", name, value]
    return words


def optional(enclosure: Enclosure) -> tuple[str, ...]:
    """What a program with a network reads of the system, where it is there."""
    return () if enclosure.replica is not None else (*(f"/etc/{name}" for name in ETC), *CERTIFICATES)


def command(enclosure: Enclosure) -> list[str]:
    """The words after bubblewrap's, or those of the host where there is no sandbox."""
    program, corner = (PROGRAM, CORNER) if enclosure.sandboxed else (enclosure.program, enclosure.corner)
    return [str(program), "replicate", "-no-expand-env", "-config", f"{corner}/{CONFIG}"]
