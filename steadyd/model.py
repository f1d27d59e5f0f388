"""The nouns of the product as values: who owns what, what an app and a version are, and the rules for names."""

from __future__ import annotations

import enum
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steadyd.errors import SteadyError
from steadyd.variables import UNCHANGED, Change

NAME = re.compile(r"[a-z](?:[a-z0-9-]{1,38}[a-z0-9])\Z")
REMOTE = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:[^/]*@)?(?P<host>[^/@:\[\]]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]+)?/"
)
SCP_REMOTE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^@?#]*\Z")
RESERVED_NAMES = frozenset(
    "about abuse account admin administrator api app apps assets auth blog cdn cluster console dashboard dev dns docs "
    "editor email ftp git guest health help host hosts imap internal invite local localhost log login logout logs mail "
    "metrics new ns operator owner pop private proxy public register root security server settings signup smtp ssh "
    "ssl staging static stats status steady steadyd support system test token user users web webmail wildcard "
    "www".split()
)
NICKNAME_CHARACTERS_MAX = 40
ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
ID_CHARACTERS = 12
ADJECTIVES = (
    "able amber bold brave brisk calm clear clever cosy crisp daring eager early fair fancy fine fond free fresh "
    "gentle glad golden grand green happy hardy honest jolly keen kind light lively lucky merry mild mint neat "
    "nimble noble olive plain proud quick quiet rapid ready rosy royal sharp shiny silent silver simple smart "
    "snug solid spry steady sunny swift tidy true vivid warm wise young zesty"
).split()
ANIMALS = (
    "alpaca badger bear beaver bee bison boar camel cat cobra crane crow deer dingo dove duck eagle egret falcon "
    "ferret finch fox frog gecko goat goose hare hawk hen heron horse ibis jay koala lark lemur lion llama lynx mole "
    "moose mouse newt orca otter owl ox panda pony puffin puma quail rabbit raven robin salmon seal shrew sloth snail "
    "sparrow stork swan tapir tiger toad trout turtle viper vole walrus weasel whale wolf wombat wren yak zebra"
).split()


class AppState(enum.StrEnum):
    """What an app is doing, in the words of the contract."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    FROZEN = "frozen"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    FAILED = "failed"
    HELD = "held"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class Kind(enum.StrEnum):
    """Kinds of principal: the person who started the daemon, someone with an account, someone without."""

    OPERATOR = "operator"
    USER = "user"
    GUEST = "guest"


class Scope(enum.StrEnum):
    """What a token lets its holder do, each including the one before: look, change apps, everything."""

    READ = "read"
    DEPLOY = "deploy"
    ALL = "all"

    def covers(self, other: Scope) -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who may own apps. `name` is the user name, or a guest's nickname."""

    id: str
    kind: Kind
    name: str
    created_at: float
    notify: str = ""
    """Where notices about their apps go: an https URL; "" for nowhere."""

    @property
    def is_operator(self) -> bool:
        return self.kind is Kind.OPERATOR


class Network(enum.StrEnum):
    """What an app reaches: nothing, the public internet, or its owner's other apps by name and nothing else."""

    NONE = "none"
    INTERNET = "internet"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one instance may use. Bytes, cores and counts; 0 means no limit."""

    memory_bytes: int = 256 << 20
    cpus: float = 1.0
    processes: int = 64
    disk_bytes: int = 1 << 30


class TrialNetwork(enum.StrEnum):
    """What a candidate reaches while it is tried: nothing, and if it fails for that, what the app does; nothing; what
    the app does."""

    AUTO = "auto"
    OFF = "off"
    APP = "app"


class TrialMode(enum.StrEnum):
    """How much of a trial there is: on a copy of the data, with a health request; only a start, without data; none."""

    FULL = "full"
    START = "start"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Trial:
    """How an app's candidates are tried."""

    network: TrialNetwork = TrialNetwork.AUTO
    health: str = "/"
    """What is asked, and must be answered below 500; "" where listening is enough."""
    mode: TrialMode = TrialMode.FULL
    test: bool = False
    """Whether its own tests are run too."""


class Visibility(enum.StrEnum):
    """Who sees an app's source: everybody, and it is listed; whoever has its name; its owner. Never who may open it."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    PRIVATE_SOURCE = "private-source"


class Durability(enum.StrEnum):
    """When an answer may leave: once this host has what it tells of on its disk, or once the replica has it too."""

    HOST = "host"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is true of an app now, whoever said so."""

    limits: Limits = Limits()
    idle_seconds: float = 15 * 60.0
    """Seconds without a request until the app sleeps; 0 means never."""
    network: Network = Network.INTERNET
    notify: str = ""
    """Where its owner is told what goes wrong: an https address, or "" for nowhere."""
    trial: Trial = Trial()
    visibility: Visibility = Visibility.PRIVATE_SOURCE
    auto_rollback: bool = True
    """Whether a version that fails right after it went live is given up for the one before it."""
    durability: Durability = Durability.HOST


@dataclass(frozen=True, slots=True)
class Choices:
    """What one of those who may say (the owner, a version's own file) said. None: nothing."""

    memory_bytes: int | None = None
    cpus: float | None = None
    processes: int | None = None
    disk_bytes: int | None = None
    idle_seconds: float | None = None
    network: Network | None = None
    notify: str | None = None
    trial: Mapping[str, str | bool] | None = None
    """Fields of a trial, those that were named; `health` may be False."""
    visibility: Visibility | None = None
    auto_rollback: bool | None = None
    durability: Durability | None = None


@dataclass(frozen=True, slots=True)
class App:
    """One app. `id` is permanent and names every path and key; `name` can change. Times are seconds since 1970."""

    id: str
    number: int
    name: str
    owner_id: str
    owner_name: str
    version: int
    """The live version's number; 0 while the first deploy has not gone live."""
    temporary: bool
    held: bool
    created_at: float
    updated_at: float
    expires_at: float | None = None
    deleted_at: float | None = None
    owner_kind: Kind = Kind.USER
    chosen: Choices = Choices()
    """What its owner set."""
    shipped: Choices = Choices()
    """What the live version's own file says."""
    settings: Settings = Settings()
    """What follows from both, within the host's ceilings."""
    suspended: str = ""
    """Why the operator suspended it, or its owner; "" while neither is."""
    variables: Change = UNCHANGED
    """What an operation under way makes of its variables; what is stored is in records/environment.py."""

    @property
    def limits(self) -> Limits:
        return self.settings.limits

    @property
    def is_open_source(self) -> bool:
        """Anybody who knows its name may read its versions."""
        here = self.deleted_at is None and not self.suspended
        return here and self.settings.visibility is not Visibility.PRIVATE_SOURCE

    @property
    def by_guest(self) -> bool:
        """Its owner has no account: it runs in a lower class."""
        return self.owner_kind is Kind.GUEST


@dataclass(frozen=True, slots=True)
class Commit:
    """The git commit that a folder stood at. `remote` is without credentials; `dirty`: its files differ from it."""

    id: str
    remote: str = ""
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a version came from, and what its author says of it."""

    source: str
    """paste, json, folder, archive, multipart, merge or remix."""
    message: str = ""
    commit: Commit | None = None
    of: str = ""
    """The app that it is a remix of."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a version: a path relative to the app's folder and the content's address."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where one of an app's databases stood. `changes` is SQLite's own counter; `wal_bytes` are not in the file yet."""

    path: str
    size_bytes: int
    pages: int
    changes: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable snapshot of an app's files. `entry` is a path, or "" for a static site."""

    app_id: str
    number: int
    entry: str
    origin: Origin
    files: tuple[File, ...]
    created_at: float
    author_id: str
    modules: str = ""
    """Key of the installed dependencies in the module cache; "" for none."""
    shipped: Choices = Choices()
    bun: str = ""
    """The Bun that it was made for; "" where nobody noted it."""
    author: str = ""
    """The author's name; "" where that principal is gone."""
    lock: str = ""
    """SHA-256 of the lock that pins its dependencies; "" for none."""
    pinned: bool = False
    """Its owner keeps it, whatever comes after it."""
    live_at: float | None = None
    """When it went live last."""
    positions: tuple[Position, ...] = ()
    """Where the app's databases stood then."""


@dataclass(frozen=True, slots=True)
class Cron:
    """What an app is asked by the clock: a request to `path`, or a call of the function that its code exports."""

    id: str
    schedule: str
    timezone: str = "UTC"
    path: str = ""
    """With its query, or "" where `export` is set."""
    export: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Draft:
    """What becomes a version: its fields before it has a number."""

    entry: str
    origin: Origin
    files: tuple[File, ...]
    modules: str = ""
    shipped: Choices = Choices()
    bun: str = ""
    crons: tuple[Cron, ...] = ()


@dataclass(frozen=True, slots=True)
class Deploy:
    """One attempt to make a version live. `steps` are `{name, ms, ok}` in order; `reason` is set on failure."""

    id: int
    app_id: str
    version: int
    kind: str
    """create, deploy or rollback."""
    status: str
    """running, live or failed."""
    steps: tuple[dict[str, Any], ...]
    started_at: float
    finished_at: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a death card names it. `path` has no query and may be cut."""

    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Reached:
    """What an instance had used when it ended, and of how much. None is unknown, or no limit."""

    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_refusals: int = 0
    """Times that it met its memory limit, refused or made to wait."""
    processes: int | None = None
    processes_limit: int | None = None
    process_refusals: int = 0
    disk_bytes: int | None = None
    disk_limit_bytes: int | None = None
    throttled_periods: int = 0
    """Tenths of a second in which it had used up its share of cpu."""
    throttled_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Death:
    """The death card: how an instance ended badly."""

    at: float
    version: int
    cause: str
    """exit, signal, memory, processes, disk, start_timeout or stop_timeout."""
    exit_code: int | None
    signal: str | None
    uptime_seconds: float
    in_flight: int
    log_tail: tuple[str, ...]
    message: str
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    requests: tuple[Asked, ...] = ()
    """Some of those in flight."""
    reached: Reached = field(default_factory=Reached)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an app, for its history."""

    at: float
    kind: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


def check_name(name: str) -> str:
    """Return `name` if an app may have it.

    Raises:
        SteadyError: `invalid_name`, saying which rule it breaks.
    """
    if not NAME.match(name):
        rule = "3 to 40 characters: a letter, then letters, digits or hyphens, all lower case, no hyphen at the end"
        raise SteadyError("invalid_name", f"“{name[:60]}” cannot be an app's name. Use {rule}.", {"name": name[:60]})
    if name[2:4] == "--":
        raise SteadyError(
            "invalid_name", f"“{name}” has “--” at positions 3 and 4, which browsers keep for themselves."
        )
    if name in RESERVED_NAMES:
        raise SteadyError("invalid_name", f"“{name}” is reserved. Choose another name.", {"name": name})
    return name


def without_credentials(remote: str) -> str:
    """A git remote as everybody may see it: no user, password or query; "" for a path of one machine or what cannot
    be read. `git@host:path` names no secret and stays."""
    if SCP_REMOTE.match(remote):
        return remote
    found = REMOTE.match(remote)
    path = re.split("[?#]", remote[found.end() - 1 :])[0] if found else ""
    if found is None or found["scheme"] == "file://" or "@" in path:
        return ""
    return f"{found['scheme']}{found['host']}{found['port'] or ''}{path}"


def check_username(username: str) -> str:
    """Return `username` in small letters if a user may have it: the rules are those of an app's name.

    Raises:
        SteadyError: `invalid_name`.
    """
    name = username.lower()
    if not NAME.match(name) or name[2:4] == "--" or name in RESERVED_NAMES:
        rule = "3 to 40 letters, digits or hyphens, beginning with a letter, no hyphen at the end, and no reserved word"
        raise SteadyError("invalid_name", f"“{username[:60]}” cannot be a user name. Use {rule}.")
    return name


def check_nickname(text: str) -> str:
    """What a guest wants to be called, without spaces around it.

    Raises:
        SteadyError: `invalid` if nothing is left, or more than NICKNAME_CHARACTERS_MAX, or what cannot be seen.
    """
    name = " ".join(text.split())
    if not 0 < len(name) <= NICKNAME_CHARACTERS_MAX or not name.isprintable():
        said = f"A nickname has 1 to {NICKNAME_CHARACTERS_MAX} characters that can be seen."
        raise SteadyError("invalid", said, {"field": "nickname"})
    return name


def random_name() -> str:
    """A readable name such as `brave-otter-412`."""
    return f"{secrets.choice(ADJECTIVES)}-{secrets.choice(ANIMALS)}-{secrets.randbelow(900) + 100}"


def random_nickname() -> str:
    """What a guest is called, such as `Quiet Heron`."""
    return f"{secrets.choice(ADJECTIVES)} {secrets.choice(ANIMALS)}".title()


def random_id() -> str:
    """A permanent id: 12 characters, 62 bits."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_CHARACTERS))
