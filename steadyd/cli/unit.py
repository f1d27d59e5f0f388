"""The systemd unit that `steadyd doctor --unit` prints: full isolation of apps with the least power for the daemon.

Root and not a user of its own, for only who may take any uid can give each app one, and a user with these capabilities
is root by another name; so the capabilities are counted instead. Left out on purpose, because the sandbox needs it:
RestrictNamespaces and PrivateUsers (it is made of namespaces), ProtectKernelTunables and ProtectKernelLogs (where part
of /proc is covered, no other can be mounted: tried with bubblewrap 0.8), ProtectProc (the daemon watches processes of
other uids), ProtectHostname (it has a host name of its own), ProtectControlGroups (each app is a group), PrivateDevices
(/dev/net/tun), MemoryDenyWriteExecute (Bun compiles at run time).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from steadyd.config import Address

CAPABILITIES = {
    "CAP_SETUID": "each app runs under a uid of its own",
    "CAP_SETGID": "and a gid",
    "CAP_CHOWN": "its folder is its own",
    "CAP_DAC_OVERRIDE": "and the daemon works in it",
    "CAP_FOWNER": "whatever mode the app gave to what lies there",
    "CAP_KILL": "it is stopped",
    "CAP_SYS_ADMIN": "it starts in namespaces that were made before",
    "CAP_SYS_PTRACE": "which are found through the processes that hold them",
    "CAP_MKNOD": "where /dev/net/tun is root's alone, apps' way out gets one (DevicePolicy= allows no other)",
    "CAP_SETFCAP": "and shipped files stay root's where owners are translated (user_namespaces(7))",
    "CAP_SYS_CHROOT": "its folder is bound into a sandbox that waits (setns(2))",
}
"""What the daemon can do, at most, and why. Without any one of them its test fails."""
NET_BIND = "CAP_NET_BIND_SERVICE"
PRIVILEGED_PORTS_END = 1024
DEFAULT_DATA = Path("/var/lib/steadyd")
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))

UNIT = """\
# Written by: steadyd doctor --unit
# sudo tee /etc/systemd/system/steadyd.service, then: sudo systemctl enable --now steadyd
[Unit]
Description=steadyd, a home for small apps
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
{start}
Restart=on-failure
RestartSec=1
KillMode=mixed
TimeoutStopSec=20

# Each app is a control group below ours, with limits of its own; one that hits its limit is not our end.
Delegate=memory cpu pids io
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=65536

# As little as full isolation needs: of root's power, of the disk, of the devices.
CapabilityBoundingSet={capabilities}
NoNewPrivileges=yes
{folders}
RuntimeDirectory=steadyd
RuntimeDirectoryMode=0711
ProtectSystem=strict
ProtectHome={home}
PrivateTmp={private_tmp}
DevicePolicy=closed
DeviceAllow=/dev/net/tun rwm
ProtectClock=yes
ProtectKernelModules=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the daemon of a unit lives. `command` is absolute; `prefixes` are the folders that Python needs."""

    command: tuple[str, ...]
    prefixes: tuple[Path, ...]
    data: Path
    listen: Address


def this_place(data: Path, listen: Address) -> Place:
    """The steadyd that is running, with this data folder and listener."""
    script = Path(sys.executable).with_name("steadyd")
    command = (str(script),) if script.is_file() else (sys.executable, "-m", "steadyd")
    prefixes = {Path(sys.prefix), Path(sys.base_prefix).resolve(), Path(__file__).resolve().parents[2]}
    return Place(command, tuple(sorted(prefixes)), data.absolute(), listen)


def unit(place: Place) -> str:
    """The text of steadyd.service (systemd.exec(5), systemd.resource-control(5))."""
    own = place.data == DEFAULT_DATA
    serve = [*place.command, "serve", "--sandbox", "required", "--listen", str(place.listen), "--data", str(place.data)]
    start = f"ExecStart={' '.join(quoted(word).replace('$', '$$') for word in serve)}"
    if not own:  # with full power, and before the disk becomes read-only
        start = f"ExecStartPre=+/usr/bin/install -d -m 0711 {quoted(str(place.data))}\n{start}"
    at_home = _below(HOMES, *place.prefixes, Path(place.command[0]), place.data)
    return UNIT.format(
        start=start,
        capabilities=" ".join(capabilities(place.listen)),
        folders="StateDirectory=steadyd\nStateDirectoryMode=0711"
        if own
        else f"ReadWritePaths={quoted(str(place.data))}",
        home="read-only" if at_home else "yes",
        private_tmp="no" if _below(TEMPORARY, *place.prefixes, place.data) else "yes",
    )


def capabilities(listen: Address) -> list[str]:
    """What the daemon needs of root (capabilities(7))."""
    return [*CAPABILITIES, *([NET_BIND] if 0 < listen.port < PRIVILEGED_PORTS_END else [])]


def quoted(word: str) -> str:
    """One word of a command line or a list of paths (systemd.syntax(7)); % would expand (systemd.unit(5))."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if escaped == word and not any(letter in word for letter in " \t'") else f'"{escaped}"'


# Private


def _below(parents: tuple[Path, ...], *paths: Path) -> bool:
    return any(path.is_relative_to(parent) for path in paths for parent in parents)
