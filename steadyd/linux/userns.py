"""User namespaces, which the sandbox stands on: what closes them here, and the command that opens them again."""

from __future__ import annotations

from pathlib import Path

SETTINGS = Path("/proc/sys")
APPARMOR = "kernel/apparmor_restrict_unprivileged_userns"
APPARMOR_FIX = (
    r"printf 'abi <abi/4.0>,\nprofile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }\n'"
    " | sudo tee /etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap"
)
"""For bubblewrap alone, as Ubuntu does it for browsers; the sysctl would open the door for every program."""
SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("user/max_user_namespaces", "0", "15000"),
)
"""What closes user namespaces: the name below /proc/sys, its closed value, and an open one."""
CONTAINER_FIX = "allow user namespaces here (in a container: --security-opt seccomp=unconfined, or --privileged)"
"""Where no switch is closed, something around this machine refuses."""


def fix(settings: Path = SETTINGS) -> str:
    """The command that opens what this machine has closed."""
    if _read(settings / APPARMOR) == "1":
        return APPARMOR_FIX
    for name, closed, opened in SWITCHES:
        if _read(settings / name) == closed:
            return f"sudo sysctl -w {name.replace('/', '.')}={opened}"
    return CONTAINER_FIX


# Private


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
