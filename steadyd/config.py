"""The daemon's configuration as one frozen value; paths are derived from it, parts get only what they need."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from steadyd.errors import SteadyError
from steadyd.model import Limits
from steadyd.settings import Policy
from steadyd.terms import DAY_SECONDS, Terms
from steadyd.tree import FILE_BYTES_MAX, FILES_MAX, TREE_BYTES_MAX, TreeLimits

DEFAULT_LISTEN = "127.0.0.1:8080"
DEFAULT_DOMAIN = "localhost"
DEFAULT_MEMORY_BYTES = 256 << 20
DOMAIN = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
DOMAIN_CHARACTERS_MAX = 253 - 41
"""An app's name and a dot come before it (RFC 1035 section 2.3.4)."""
EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")
CONTACT_CHARACTERS_MAX = 254
"""An address has at most 254 (RFC 5321 section 4.5.3.1.3); it stands on every page."""
NO_LIMIT_BYTES = 1 << 50
"""More than any machine has."""
NO_LIMIT_SECONDS = 365 * DAY_SECONDS
SANDBOX_MODES = ("auto", "required", "off")


def memory_ceiling() -> int:
    """The most memory that one app may be given where the operator says nothing: half of the machine's."""
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return max(half >> 20 << 20, DEFAULT_MEMORY_BYTES)


def cpus_ceiling() -> float:
    """The same for processors: all of them."""
    return float(os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address; port 0 asks for a free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """A name other than localhost may mean any address, whatever it begins with."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Config:
    """What `steadyd serve` was told. Durations are in seconds."""

    data: Path
    listen: Address = Address("127.0.0.1", 8080)
    private_listen: Address | None = None
    """Where the API alone answers: for programs and hosts of the same network."""
    app_domain: str = DEFAULT_DOMAIN
    control_domain: str = DEFAULT_DOMAIN
    public_url: str = ""
    """Where the control plane is reached from outside, such as `https://steady.example`; "" derives it."""
    abuse_contact: str = ""
    """Whom visitors tell what an app does to people: an e-mail address or an https URL; "" for nobody."""
    sandbox: str = "auto"
    guests: bool = True
    signup: str = "open"
    freeze_seconds: float = 10.0
    idle_seconds: float = 15 * 60.0
    start_seconds: float = 30.0
    hold_seconds: float = 10.0
    drain_seconds: float = 5.0
    grace_seconds: float = 5.0
    cron_seconds: float = 300.0
    replicated_seconds: float = 5.0
    log_bytes: int = 100 << 20
    request_body_bytes: int = 100 << 20
    files: int = FILES_MAX
    file_bytes: int = FILE_BYTES_MAX
    app_bytes: int = TREE_BYTES_MAX
    env_value_bytes: int = 64 << 10
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    cpus: float = 1.0
    processes: int = 64
    disk_bytes: int = 1 << 30
    guest_memory_bytes: int = 128 << 20
    guest_disk_bytes: int = 100 << 20
    memory_bytes_ceiling: int = field(default_factory=memory_ceiling)
    cpus_ceiling: float = field(default_factory=cpus_ceiling)
    processes_ceiling: int = 1_024
    disk_bytes_ceiling: int = 10 << 30
    guest_apps: int = 5
    creations_per_hour: int = 60
    log_ins_per_hour: int = 60
    signups_per_hour: int = 60
    client_connections: int = 4_096
    waiters: int = 2_048
    temporary_days: float = 7.0
    deleted_days: float = 30.0
    name_quarantine_days: float = 30.0
    versions_kept: int = 100
    point_in_time_days: float = 30.0
    replica: str = ""
    """Where backups go, as a URL; "" is a folder of the data folder."""
    replica_credentials: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """What the environment or the credentials file says of that place, by the AWS tools' names."""
    points_kept: int = 100

    @property
    def is_loopback(self) -> bool:
        """True while nobody reaches it but this machine."""
        return all(address.is_loopback for address in (self.listen, self.private_listen) if address)

    @property
    def policy(self) -> Policy:
        """What an app gets, and the most that settings may give it."""
        limits = Limits(self.memory_bytes, self.cpus, self.processes, self.disk_bytes)
        guest = replace(limits, memory_bytes=self.guest_memory_bytes, disk_bytes=self.guest_disk_bytes)
        ceilings = Limits(self.memory_bytes_ceiling, self.cpus_ceiling, self.processes_ceiling, self.disk_bytes_ceiling)
        tree = TreeLimits(self.files, self.file_bytes, self.app_bytes)
        return Policy(limits, guest, ceilings, self.idle_seconds, self.guest_apps, tree)

    @property
    def terms(self) -> Terms:
        """How long what nobody keeps is kept."""
        return Terms(
            temporary_seconds=self.temporary_days * DAY_SECONDS,
            deleted_seconds=self.deleted_days * DAY_SECONDS,
            name_seconds=self.name_quarantine_days * DAY_SECONDS,
            versions_kept=self.versions_kept,
        )

    @property
    def database(self) -> Path:
        return self.data / "steady.db"

    @property
    def replica_url(self) -> str:
        return self.replica or f"file://{quote(str(self.data / 'replica'))}"

    @property
    def blobs(self) -> Path:
        return self.data / "blobs"

    @property
    def apps(self) -> Path:
        return self.data / "apps"

    @property
    def operator_token(self) -> Path:
        return self.data / "operator.token"

    @property
    def url_file(self) -> Path:
        return self.data / "url"


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[V6]:PORT` or `:PORT` as an `Address`.

    Raises:
        SteadyError: `invalid` for anything else.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SteadyError("invalid", f"“{text}” is not an address. Write HOST:PORT, such as {DEFAULT_LISTEN}.")
    return Address(host, int(port))


def parse_domain(text: str) -> str:
    """A domain in lower case, without the dot at its end.

    Raises:
        SteadyError: `invalid` for what no app's name could stand before.
    """
    domain = text.lower().removesuffix(".")
    if len(domain) > DOMAIN_CHARACTERS_MAX or not DOMAIN.fullmatch(domain):
        raise SteadyError("invalid", f"“{text}” is not a domain. Write one such as apps.example.com, without a port.")
    return domain


def parse_public_url(text: str) -> str:
    """The origin of an http or https URL, or "".

    Raises:
        SteadyError: `invalid` for anything else, such as a URL with a path.
    """
    url = urlsplit(text)
    if text and (url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query):
        raise SteadyError("invalid", f"“{text}” is not where a server is reached. Write https://steady.example.com.")
    return text.rstrip("/")


def parse_abuse_contact(text: str) -> str:
    """An e-mail address or an https URL, or "".

    Raises:
        SteadyError: `invalid` for anything else.
    """
    url = urlsplit(text)
    is_url = url.scheme == "https" and bool(url.hostname) and text.isprintable() and " " not in text
    if (text and not (is_url or EMAIL.fullmatch(text))) or len(text) > CONTACT_CHARACTERS_MAX:
        said = f"“{text[:80]}” is no abuse contact. Write abuse@example.com or https://example.com/abuse."
        raise SteadyError("invalid", said)
    return text


def default_data(environ: Mapping[str, str], uid: int | None = None) -> Path:
    """Where the daemon keeps everything: /var/lib/steadyd as root, else in the user's data folder."""
    if (os.geteuid() if uid is None else uid) == 0:
        return Path("/var/lib/steadyd")
    home = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME", "."), ".local", "share")
    return Path(home) / "steadyd"


def runtime_parent() -> Path:
    """Where short-lived files lie: a short path, because a Unix socket's ends at 108 bytes (unix(7))."""
    if os.geteuid() == 0:
        return Path("/run/steadyd")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/steadyd-{os.geteuid()}")
