"""What full isolation of strangers' apps needs of a Linux machine. Each check really does what the daemon will do."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from steadyd.cli.finding import PROBE_SECONDS_MAX, Finding, first_line
from steadyd.errors import SteadyError
from steadyd.linux import userns

TUN = Path("/dev/net/tun")
SCRIPT_NAME = "probe.js"
SCRIPT_TEXT = 'console.log(JSON.stringify({ status: require("fs").readFileSync("/proc/self/status", "utf8") }));\n'
"""Run inside, as an app would be: proc(5)'s status says what confines its reader."""
CGROUP_ROOT = Path("/sys/fs/cgroup")
NO_CAPABILITIES = "0000000000000000"
SECCOMP_FILTER = "2"


def isolation(data: Path) -> list[tuple[str, Callable[[], Finding]]]:
    """The checks of this machine, by name, in the order in which they are shown."""
    if sys.platform != "linux":
        detail = "none on this system: only the operator's own apps run, `steadyd run` does not need it"
        return [("sandbox", lambda: Finding("sandbox", "ok", detail))]
    return [
        ("user namespaces", user_namespaces),
        ("sandbox", lambda: sandbox(data)),
        ("cgroups", cgroups),
        ("network", network),
        ("/dev/net/tun", lambda: tun(TUN)),
        ("open files", open_files),
        ("users", users),
    ]


def user_namespaces(settings: Path = userns.SETTINGS) -> Finding:
    """Make one as an app's uid and use its power: AppArmor lets anybody make one, and then refuses every use."""
    from steadyd.runner.process import SETPRIV, identity_options

    command = ["/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/true"]
    uid = _app_uid()
    if uid is not None:
        command = [SETPRIV, *identity_options(uid), *command]
    try:
        first_line(command)
    except SteadyError as error:
        return Finding("user namespaces", "problem", f"refused: {error.message}", userns.fix(settings))
    return Finding("user namespaces", "ok", "can be made without privilege")


def sandbox(data: Path) -> Finding:
    """Run Bun under the daemon's own policy, through its own parent process, and read what confines it."""
    from steadyd.premises import check_passable

    existing = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    if not shutil.which("bwrap", path="/usr/bin"):
        detail = "bubblewrap is not installed: only the operator's own apps run"
        return Finding("sandbox", "problem", detail, "sudo apt-get install -y bubblewrap")
    try:
        check_passable(existing)
    except SteadyError as error:
        detail, _, fix = error.message.partition(" Run: ")
        return Finding("sandbox", "problem", detail, f"sudo {fix}")
    try:
        status = asyncio.run(_status_inside())
    except SteadyError as error:
        return Finding("sandbox", "problem", error.message, userns.fix())
    wrong = confinement_gaps(status)
    if wrong:
        return Finding("sandbox", "problem", f"a program inside {' and '.join(wrong)}", "upgrade bubblewrap")
    version = first_line(["/usr/bin/bwrap", "--version"])
    return Finding(
        "sandbox", "ok", f"{version}: an app has no capabilities, gains none, and makes filtered system calls"
    )


def confinement_gaps(status: str) -> list[str]:
    """What is missing in a confined program's /proc/self/status (proc(5)), as ends of a sentence."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    gaps = []
    if fields.get("CapEff") != NO_CAPABILITIES or fields.get("CapBnd") != NO_CAPABILITIES:
        gaps.append("has capabilities")
    if fields.get("NoNewPrivs") != "1":
        gaps.append("may gain privileges")
    if fields.get("Seccomp") != SECCOMP_FILTER:
        gaps.append("may make any system call")
    return gaps


def cgroups() -> Finding:
    """Make a limited group as the daemon does for an instance, measure it, and remove it."""
    from steadyd.linux.cgroup import Caps, open_cgroups

    smallest = Caps(memory_bytes=16 << 20, cpus=0.1, processes=8)
    try:
        groups = open_cgroups(f"steadyd-doctor-{os.getpid()}")
        try:
            group = groups.make("guests", "doctor")
            group.cap(smallest)
            group.sample()
            group.remove()
        finally:
            groups.close()
    except SteadyError as error:
        return Finding("cgroups", "problem", f"apps run without limits: {error.message}", delegation_fix())
    return Finding("cgroups", "ok", f"version {groups.version}: memory, CPU and processes of an app can be limited")


def delegation_fix(root: Path = CGROUP_ROOT, uid: int | None = None) -> str:
    """How to get control groups of one's own: root makes them, and systemd hands them out on version 2."""
    if (root / "cgroup.controllers").is_file():
        if (os.geteuid() if uid is None else uid) != 0:
            return "systemd-run --user --scope -p Delegate=yes steadyd serve"
        return "sudo systemctl edit steadyd, with [Service] Delegate=yes (the unit of `doctor --unit` has it)"
    return "run `sudo steadyd serve`: control groups of version 1 are root's"


def network() -> Finding:
    """Make the apps' router, load its packet filter, and find a way out, as the daemon does."""
    from steadyd.runner.plumbing import missing_packages

    if missing := missing_packages():
        detail = f"without {', '.join(missing)} apps have no network"
        return Finding("network", "problem", detail, f"sudo apt-get install -y {' '.join(missing)}")
    if problem := asyncio.run(_network_problem()):
        fix = userns.fix() if "namespace" in problem else "give this machine a default route (ip route), then try again"
        return Finding("network", "problem", f"apps have no network: {problem}", fix)
    return Finding("network", "ok", "a namespace has a filter and a way out")


def tun(device: Path) -> Finding:
    """pasta's way into a network namespace."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        fix = f"sudo modprobe tun (in a container: --device {device})"
        return Finding("/dev/net/tun", "problem", f"apps have no network: {error.strerror}", fix)
    return Finding("/dev/net/tun", "ok", "opens")


def open_files() -> Finding:
    from steadyd.runner.process import DESCRIPTORS_MAX

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS_MAX:
        return Finding("open files", "ok", f"{DESCRIPTORS_MAX:,} for the daemon")
    detail = f"{hard:,} at most: two for each visitor, so about {hard // 2:,} at once"
    return Finding(
        "open files", "problem", detail, f"ulimit -Hn {DESCRIPTORS_MAX} (the unit of `doctor --unit` has it)"
    )


def users() -> Finding:
    if _app_uid() is not None:
        return Finding("users", "ok", "each app has a uid of its own")
    detail = "not root: all apps share your uid, only namespaces part them"
    return Finding("users", "problem", detail, "run `sudo steadyd serve`, or by the unit of `steadyd doctor --unit`")


# Private


def _app_uid() -> int | None:
    from steadyd.runner.ground import UID_FIRST

    return UID_FIRST if os.geteuid() == 0 else None


async def _network_problem() -> str:
    """Why apps would have no network, in one sentence; "" if they would."""
    from steadyd.runner.ground import PLUMBER_UID
    from steadyd.runner.launcher import Launcher
    from steadyd.runner.plumbing import Plumbing

    launcher = Launcher()
    plumbing = Plumbing(launcher.spawn, PLUMBER_UID if os.geteuid() == 0 else None)
    try:
        await launcher.open()
        await plumbing.open()
        return plumbing.problem
    finally:
        await plumbing.close()
        await launcher.close()


async def _status_inside() -> str:
    """/proc/self/status of a program under the full policy.

    Raises:
        SteadyError: `cannot_start` with what the sandbox said.
    """
    from steadyd.runner import engine
    from steadyd.runner.launcher import Launcher
    from steadyd.runner.sandbox import Room, check_installed
    from steadyd.runner.tool import SCRIPT, Tools

    check_installed()
    launcher = Launcher()
    with tempfile.TemporaryDirectory(prefix="steadyd-doctor-") as name:
        parent = Path(name)
        folder = parent / "app"
        folder.mkdir()
        (folder / SCRIPT_NAME).write_text(SCRIPT_TEXT)
        for path, mode in ((parent, 0o711), (folder, 0o755), (folder / SCRIPT_NAME, 0o644)):
            path.chmod(mode)
        try:
            await launcher.open()
            tools = Tools(engine.prepare(parent / "engine"), True, launcher.spawn)
            room = Room(folder, tools.engine.folder, _app_uid(), {"PATH": "/usr/bin:/bin"}, folder_read_only=True)
            result = await tools.run(room, [*SCRIPT, f"{{app}}/{SCRIPT_NAME}"], PROBE_SECONDS_MAX)
        finally:
            await launcher.close()
    status = result.answer().get("status")
    if not isinstance(status, str):
        said = " ".join(result.last_lines(2)) or str(result.ended)
        raise SteadyError("cannot_start", f"bubblewrap cannot start a program: {said}")
    return status
