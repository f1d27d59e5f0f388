"""What the control plane is given: every room it calls, as one value that daemon.py fills."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from steadyd.backup.changed import Changed
from steadyd.backup.room import Backups
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.notices import Notices
from steadyd.passwords import Passwords
from steadyd.records.apps import Apps
from steadyd.records.journal import Journal
from steadyd.records.library import Library
from steadyd.records.metrics import Metrics
from steadyd.records.names import Names
from steadyd.records.people import People
from steadyd.records.requests import Requests
from steadyd.records.targets import Targets
from steadyd.records.versions import Versions
from steadyd.runner.archives import Archives
from steadyd.runner.arrivals import Arrivals
from steadyd.runner.controller import Controller
from steadyd.runner.crons import Scheduler
from steadyd.runner.deploy import Deployer
from steadyd.runner.errand import Told
from steadyd.runner.fleet import Fleet
from steadyd.runner.forks import Forks
from steadyd.runner.household import Household
from steadyd.runner.identity import Identity
from steadyd.runner.logs import Logs
from steadyd.runner.previews import Previews
from steadyd.runner.query import Databases
from steadyd.runner.removal import Removal
from steadyd.runner.workshop import Workshop
from steadyd.runner.writing import Writing
from steadyd.urls import Urls
from steadyd.variables import VALUE_BYTES_MAX
from steadyd.web.backoff import Attempts
from steadyd.web.body import BODY_BYTES_MAX
from steadyd.web.rate import RateLimit
from steadyd.web.turns import Turns

CREATIONS_PER_HOUR_MAX = 60
LOGINS_PER_HOUR_MAX = 60
SIGNUPS_PER_HOUR_MAX = 60
TESTS_PER_HOUR_MAX = 60
QUERIES_AT_ONCE_MAX = 4
"""Reads of databases, of all apps."""
QUERIES_WAITING_MAX = 32
LONG_QUERIES_AT_ONCE_MAX = 2
"""Checks, exports and imports of databases, of all apps."""
LONG_QUERIES_WAITING_MAX = 8
TRANSFERS_AT_ONCE_MAX = 8
"""Files that are sent to databases or from them, each of which takes room on the disk meanwhile."""
TRANSFERS_WAITING_MAX = 8
TRIES_AT_ONCE_MAX = 16
"""Requests that are built by hand, to all apps."""
TRIES_WAITING_MAX = 16
SEARCHES_AT_ONCE_MAX = 2
"""Looks through logs, of all apps."""
SEARCHES_WAITING_MAX = 32
DIFFS_AT_ONCE_MAX = 1
DIFFS_WAITING_MAX = 16
TYPES_AT_ONCE_MAX = 1
"""Answers with the types of an app's packages, each of which reads thousands of files."""
TYPES_WAITING_MAX = 16


@dataclass(frozen=True)
class Rooms:
    """The control plane's whole world. `now` is the wall clock in seconds since 1970, `ticks` the monotonic one."""

    library: Library
    requests: Requests
    metrics: Metrics
    logs: Logs
    fleet: Fleet
    workshop: Workshop
    notices: Notices
    urls: Urls
    guests: bool
    host_name: str
    databases: Databases = field(kw_only=True)
    crons: Scheduler = field(kw_only=True)
    backups: Backups = field(kw_only=True)
    missing: tuple[str, ...] = ()
    """What this machine lacked at the daemon's start to confine apps fully, a sentence or two each."""
    superseded: Callable[[], SteadyError | None] = lambda: None
    """Why this host may change nothing any more; None while it may."""
    signup: str = "open"
    """Who may make an account: open, invite or closed."""
    now: Callable[[], float] = time.time
    ticks: Callable[[], float] = time.monotonic
    started_at: float = field(default_factory=time.time)
    body_bytes_max: int = BODY_BYTES_MAX
    env_value_bytes: int = VALUE_BYTES_MAX
    creations: RateLimit = field(default_factory=lambda: RateLimit(CREATIONS_PER_HOUR_MAX, "apps made"))
    tests: RateLimit = field(default_factory=lambda: RateLimit(TESTS_PER_HOUR_MAX, "test notices"))
    logins: RateLimit = field(default_factory=lambda: RateLimit(LOGINS_PER_HOUR_MAX, "log-ins"))
    signups: RateLimit = field(default_factory=lambda: RateLimit(SIGNUPS_PER_HOUR_MAX, "sign-ups"))
    attempts: Attempts = field(default_factory=Attempts)
    passwords: Passwords = field(default_factory=Passwords)
    comparisons: Turns = field(default_factory=lambda: Turns(DIFFS_AT_ONCE_MAX, DIFFS_WAITING_MAX, "diffs"))
    types: Turns = field(default_factory=lambda: Turns(TYPES_AT_ONCE_MAX, TYPES_WAITING_MAX, "types"))
    queries: Turns = field(default_factory=lambda: Turns(QUERIES_AT_ONCE_MAX, QUERIES_WAITING_MAX, "queries"))
    long_queries: Turns = field(
        default_factory=lambda: Turns(LONG_QUERIES_AT_ONCE_MAX, LONG_QUERIES_WAITING_MAX, "exports and imports")
    )
    record: Callable[[Told], None] = lambda told: None
    """The request log, of what we ask apps ourselves."""
    tries: Turns = field(default_factory=lambda: Turns(TRIES_AT_ONCE_MAX, TRIES_WAITING_MAX, "requests"))
    changed: Changed | None = None
    """What changed between two moments of a database; None where nothing is kept elsewhere."""
    transfers: Turns = field(
        default_factory=lambda: Turns(TRANSFERS_AT_ONCE_MAX, TRANSFERS_WAITING_MAX, "exports and imports")
    )

    searches: Turns = field(default_factory=lambda: Turns(SEARCHES_AT_ONCE_MAX, SEARCHES_WAITING_MAX, "searches"))

    @property
    def core(self) -> App | None:
        """The control plane, as an app of the operator's."""
        return self.fleet.core.app if self.fleet.core is not None else None

    def url_of(self, app: App) -> str:
        """Where an app answers."""
        return self.urls.control if app is self.core else self.urls.app(app.name)

    @property
    def apps(self) -> Apps:
        return self.library.apps

    @property
    def names(self) -> Names:
        return self.library.names

    @property
    def versions(self) -> Versions:
        return self.library.versions

    @property
    def people(self) -> People:
        return self.library.people

    @property
    def journal(self) -> Journal:
        return self.library.journal

    @property
    def targets(self) -> Targets:
        return self.library.targets

    @property
    def controller(self) -> Controller:
        return self.workshop.controller

    @property
    def household(self) -> Household:
        return self.workshop.household

    @property
    def identity(self) -> Identity:
        return self.workshop.identity

    @property
    def removal(self) -> Removal:
        return self.workshop.removal

    @property
    def previews(self) -> Previews:
        return self.workshop.previews

    @property
    def forks(self) -> Forks:
        return self.workshop.forks

    @property
    def writing(self) -> Writing:
        return Writing(self.controller)

    @property
    def archives(self) -> Archives:
        return self.workshop.archives

    @property
    def arrivals(self) -> Arrivals:
        return self.workshop.arrivals

    @property
    def deployer(self) -> Deployer:
        return self.workshop.deployer

    def lacking(self) -> list[str]:
        """What this machine lacks now, for its operator and for every page: nothing of it may go unsaid."""
        networks = self.fleet.ground.starter.networks
        problem = networks.problem if networks is not None else ""
        key = self.library.environment.vault.problem
        gone = self.superseded()
        network = f"Apps have no network: {problem}" if problem else ""
        return [*filter(None, (gone.message if gone else "", *self.missing, network, key))]
