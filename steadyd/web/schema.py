"""The JSON bodies and answers of the API as types (those of metrics stand with them). Validation, encoding and
openapi.json all come from here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from steadyd.model import AppState, Durability, Network, TrialMode, TrialNetwork, Visibility
from steadyd.runner.rehearsal import REQUESTS_MAX

TAIL_LINES_MAX = 10_000

Tail = Annotated[int, Meta(ge=0, le=TAIL_LINES_MAX, description="How many of the newest to begin with.")]
Rehearsed = Annotated[int, Meta(ge=0, le=REQUESTS_MAX, description="So many of the last requests are asked again.")]
VersionNumber = Annotated[int, Meta(ge=1, le=2**53)]


Message = Annotated[str, Meta(max_length=500, description="What this version changes, for the list of versions.")]
Claim = Annotated[
    Literal["folder", "paste"], Meta(description="Where the files come from, if that is more than their form says.")
]
CommitId = Annotated[str, Meta(pattern="^[0-9a-f]{7,64}$")]
Remote = Annotated[str, Meta(max_length=500, description="Kept without credentials.")]


class Strict(Struct, forbid_unknown_fields=True, kw_only=True):
    """An object with exactly these fields."""


# Bodies


class EnvValue(Strict):
    """A variable's value, and whether it is a secret; without `secret` its name says that."""

    value: str
    secret: bool | UnsetType = UNSET


class Base64(Strict):
    """A file that is not text."""

    base64: str


class Git(Strict):
    """The commit that a folder stands at; `dirty` where its files differ from it."""

    commit: CommitId
    remote: Remote = ""
    dirty: bool = False


class AboutBody(Strict):
    """What the author says of a version."""

    message: Message = ""
    source: Claim | UnsetType = UNSET
    git: Git | UnsetType = UNSET


class CreateBody(AboutBody):
    """Files by path; a text, or `{"base64": …}` for a binary one. `from` takes another app's code; `remix_of` says that
    these files were made from it, so that the names of its variables come along."""

    name: str | UnsetType | None = UNSET
    files: dict[str, str | Base64] | UnsetType = UNSET
    env: dict[str, str | EnvValue | None] | UnsetType = UNSET
    temporary: bool = False
    from_: str | UnsetType = field(name="from", default=UNSET)
    remix_of: str | UnsetType = UNSET


class DeployBody(AboutBody, kw_only=True):
    """With `merge`, only the named files change and `null` deletes one; without it, `files` is the whole app, or `from`
    another one's code."""

    files: dict[str, str | Base64 | None] | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    env: dict[str, str | EnvValue | None] | UnsetType = UNSET
    temporary: bool | UnsetType = UNSET
    merge: bool = False
    base_version: VersionNumber | UnsetType | None = UNSET
    trial: bool = True
    test: bool = False
    rehearse: Rehearsed = 0
    strict: bool = False
    from_: str | UnsetType = field(name="from", default=UNSET)


class RollbackBody(Strict):
    """Which version's code to go back to, with `env` also to the variables it ran with. `data`: `keep`, `version` (as
    it was when that version was live last), or a moment as in a restore."""

    version: VersionNumber
    data: str = "keep"
    env: bool = False


class StopBody(Strict):
    """`hold` keeps it down until `start`; without it the next request wakes it."""

    hold: bool = False


class Nothing(Strict):
    """An empty object, or no body at all."""


# Queries


class CreateQuery(Strict):
    """What a body that is not JSON cannot say itself."""

    name: str | UnsetType = UNSET
    temporary: bool = False
    message: Message = ""
    source: Claim | UnsetType = UNSET
    git_commit: CommitId | UnsetType = UNSET
    git_remote: Remote = ""
    git_dirty: bool = False
    with_data: Annotated[bool, Meta(description="Take an archive's databases too, as seeds.")] = False


class UploadQuery(CreateQuery):
    """The same for a deploy."""

    merge: bool = False
    base_version: VersionNumber | UnsetType = UNSET
    trial: bool = True
    test: bool = False
    rehearse: Rehearsed = 0
    strict: bool = False
    replace_data: Annotated[bool, Meta(description="Have an archive's data in place of the app's own.")] = False


class ListQuery(Strict):
    deleted: bool = False
    public: Annotated[bool, Meta(description="Everybody's public apps, by name, instead of yours.")] = False
    after: Annotated[str, Meta(description="Of public apps, those after this name.", max_length=40)] = ""
    all: Annotated[bool, Meta(description="Everybody's, for the operator.")] = False


class DeleteQuery(Strict):
    purge: bool = False


class TailQuery(Strict):
    tail: Tail = 100
    follow: bool = False
    since: Annotated[str, Meta(description="ISO 8601, or seconds since 1970.")] = ""
    q: Annotated[str, Meta(max_length=200, description="Only what contains this.")] = ""


# Answers


class Settings(Strict):
    """`idle_seconds` 0 means that it never sleeps."""

    visibility: Visibility
    idle_seconds: float
    network: Network
    notify: str
    trial: Trial
    auto_rollback: bool
    durability: Durability


class Limits(Strict):
    """0 means no limit."""

    memory_bytes: int
    cpus: float
    processes: int
    disk_bytes: int


class Trial(Strict):
    """`health` is false where listening is enough."""

    network: TrialNetwork
    health: str | bool
    mode: TrialMode
    test: bool


class Usage(Strict):
    memory_bytes: int
    cpu_seconds: float
    requests: int


class Asked(Strict):
    """A request that an end cut. The path has no query and may be cut."""

    method: str
    path: str


class Reached(Strict):
    """What an instance had used when it ended, and of how much; null is unknown or unlimited."""

    memory_peak_bytes: int | None
    memory_limit_bytes: int | None
    memory_refusals: int
    processes: int | None
    processes_limit: int | None
    process_refusals: int
    disk_bytes: int | None
    disk_limit_bytes: int | None
    throttled_periods: int
    throttled_seconds: float


class Death(Strict):
    """How an instance ended badly."""

    at: datetime
    version: int
    cause: Literal["exit", "signal", "memory", "processes", "disk", "start_timeout", "stop_timeout"]
    exit_code: int | None
    signal: str | None
    memory_peak_bytes: int | None
    memory_limit_bytes: int | None
    uptime_seconds: float
    in_flight: int
    log_tail: list[str]
    message: str
    requests: list[Asked]
    reached: Reached


class App(Strict):
    """An app as its owner sees it."""

    name: str
    url: str
    state: AppState
    version: int
    owner: str
    temporary: bool
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime
    settings: Settings
    limits: Limits
    usage: Usage
    deleted_at: datetime | UnsetType = UNSET
    kept_until: datetime | UnsetType | None = UNSET
    """Of a deleted one: from then on nothing of it is left; null: until it is purged."""
    suspended: Annotated[str, Meta(description="Why the operator suspended it.")] | UnsetType = UNSET
    last_death: Death | UnsetType = UNSET


class SeenApp(Strict):
    """An app as everybody else sees it."""

    name: str
    url: str
    state: AppState


class Next(Strict):
    """What one does next: three URLs and a whole curl line."""

    open: str
    edit: str
    logs: str
    redeploy: str


class Step(Strict):
    """`hosts`, of a trial, are those that it asked for and did not reach; `differences` are a rehearsal's."""

    name: str
    ms: float
    ok: bool
    hosts: list[str] | UnsetType = UNSET
    differences: list[str] | UnsetType = UNSET


class Deploy(Strict):
    """One attempt to make a version live. `ms` is from accepted to live."""

    id: int
    version: int
    kind: str
    status: Literal["running", "live", "failed"]
    steps: list[Step]
    started_at: datetime
    finished_at: datetime | None
    ms: float | None
    reason: str


class LeftOut(Strict):
    """Something sent that is not shipped. A folder's path ends in `/`."""

    path: str
    reason: str


class Created(Strict):
    """`token` is shown once, to a new guest: it lets its holder edit."""

    app: App
    deploy: Deploy
    next: Next
    notes: list[str]
    left_out: list[LeftOut]
    token: str | UnsetType = UNSET


class Redeployed(Strict):
    app: App
    deploy: Deploy
    next: Next
    notes: list[str]
    left_out: list[LeftOut]


class AppAnswer(Strict):
    app: App


class SeenAppAnswer(Strict):
    app: SeenApp


class AppsAnswer(Strict):
    apps: list[App]


class PublicAppsAnswer(Strict):
    """A page of public apps. `next` is what to ask for as `after`, null on the last page."""

    apps: list[SeenApp]
    next: str | None


class DeploysAnswer(Strict):
    deploys: list[Deploy]


class LogLine(Strict):
    """`source` is `app`, or `steadyd` for the platform's own lines. `id` is its place in the log, which one
    that is told as it comes has not yet."""

    at: datetime
    version: int
    source: str
    text: str
    id: str | UnsetType = UNSET


class Request(Strict):
    id: int
    at: datetime
    request_id: str
    method: str
    path: str
    status: int
    error: str
    client: str
    request_bytes: int
    response_bytes: int
    gate_us: int
    app_us: int
    total_us: int
    version: int


class Event(Strict):
    at: datetime
    kind: str
    message: str
    details: dict[str, Any]


class Missed(Strict):
    """A follower was too slow: so many were left out here."""

    missed: int


class Me(Strict):
    name: str
    kind: Literal["operator", "user", "guest"]
    created_at: datetime
    notify: str
    """Where notices about your apps go; "" is nowhere."""
    email: str | UnsetType = UNSET
    """Of somebody with an account; "" is none."""


class MeAnswer(Strict):
    user: Me


class ErrorDetail(Strict):
    code: str
    message: str
    details: dict[str, Any]


class ErrorAnswer(Strict):
    """What every failed call answers. The code is also in the `Steady-Error` header."""

    error: ErrorDetail
