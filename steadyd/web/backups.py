"""API calls about what is kept of an app's data: which moments can be reached, restore points, and going back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field
from starlette.responses import Response

from steadyd.backup.aims import Aim
from steadyd.backup.replication import Database
from steadyd.backup.report import Report
from steadyd.backup.when import AtPoint, When, read_when
from steadyd.errors import SteadyError
from steadyd.model import Durability
from steadyd.moment import Point, PointKind, PointState
from steadyd.web import schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of

Time = Annotated[
    str, Meta(description="ISO 8601, `2h ago`, `yesterday 14:00` (UTC), or `before:deploy:12` with a version.")
]
Note = Annotated[str, Meta(max_length=200, description="What it is for.")]
PointId = Annotated[int, Meta(ge=1, le=2**53)]


class PointBody(schema.Strict):
    """A restore point of now."""

    note: Note = ""


class RestoreBody(schema.Strict):
    """A time, or a restore point by its id: one of the two."""

    at: Time | UnsetType = UNSET
    point: PointId | UnsetType = UNSET


class AimQuery(schema.Strict):
    at: Time


class RestorePoint(schema.Strict):
    """A moment that stays reachable exactly. `pending`: the object store does not have all of it yet. `problem` says
    why a broken one is. `files_at` is when the files that are no databases were captured."""

    id: int
    at: datetime
    kind: PointKind
    by: str
    note: str
    version: int
    state: PointState
    problem: str
    files_at: datetime | None


class Restorable(schema.Strict):
    """One database at a moment. Of what was written in the `precision_seconds` after it, nothing may come back."""

    path: str
    at: datetime
    precision_seconds: float


class Moment(schema.Strict):
    """What really comes back: `at` is not after the moment that was asked for. `version` was live then, 0 if that is
    not known."""

    at: datetime
    precision_seconds: float
    databases: list[Restorable]
    files_at: datetime | None
    version: int
    point: int | None


class Span(schema.Strict):
    """Between these, moments can be chosen to `precision_seconds`."""

    from_: datetime = field(name="from")
    to: datetime
    precision_seconds: float


class DatabaseBackup(schema.Strict):
    """`lag_seconds`: what was written in that time is only on this host."""

    path: str
    lag_seconds: float
    synced_at: datetime | None
    problem: str
    moments: list[Span]


class FilesBackup(schema.Strict):
    """The files that are no databases, as they were captured last."""

    files: int
    bytes: int
    at: datetime | None
    problem: str


class Proof(schema.Strict):
    """The last time that the newest backup was restored to see whether it can be, and compared with what is live."""

    at: datetime
    ok: bool
    ms: float
    problem: str


class BackupsAnswer(schema.Strict):
    """`state` is `ok` only where everything is kept and was proven restorable; `message` says what else. `summary` says
    both truths: to when the databases can be had, and as of when the files."""

    state: str
    message: str
    summary: str
    durability: Durability
    target: Annotated[str, Meta(description="Where it is kept; only the operator is told the address.")]
    requests_today: int
    databases: list[DatabaseBackup]
    files: FilesBackup
    proof: Proof | None
    points: list[RestorePoint]


class PointAnswer(schema.Strict):
    point: RestorePoint


class DrillAnswer(schema.Strict):
    proof: Proof


class AimAnswer(schema.Strict):
    moment: Moment


class RestoredAnswer(schema.Strict):
    """`undo` is the restore point of what was live before; null where there was nothing."""

    app: schema.App
    restored: Moment
    undo: int | None


async def show_backups(call: Call) -> Response:
    report = await call.rooms.backups.reports.of(call.app)
    capture, target = report.capture, call.rooms.backups.replica.whither.target
    answer = BackupsAnswer(
        state=report.truth.state,
        message=report.truth.message,
        summary=report.summary,
        durability=call.app.settings.durability,
        target=str(target) if call.principal.is_operator else target.kind.value,
        requests_today=report.requests,
        databases=_databases(report),
        files=FilesBackup(
            files=capture.files if capture else 0,
            bytes=capture.bytes if capture else 0,
            at=shown.moment(capture.seen_at) if capture else None,
            problem=capture.problem if capture else "",
        ),
        proof=_proof(report),
        points=[point_shown(point) for point in report.points],
    )
    return json_answer(answer, headers=NO_STORE)


async def make_point(call: Call) -> Response:
    body = await call.body(PointBody)
    point = await call.rooms.backups.keeping.point(call.app, PointKind.MANUAL, call.principal.name, body.note)
    return json_answer(PointAnswer(point=point_shown(point)), 201)


async def drill(call: Call) -> Response:
    await call.body(schema.Nothing)
    found = await call.rooms.backups.drills.drill(call.app)
    if found is None:
        message = f"“{call.app.name}” keeps no database elsewhere yet, or wrote while its backup was tried. Try again."
        raise SteadyError("conflict", message)
    return json_answer(DrillAnswer(proof=Proof(shown.moment(found.at), found.ok, round(found.ms, 1), found.problem)))


async def aim(call: Call) -> Response:
    """What a moment means: nothing is restored."""
    found = await call.rooms.backups.aims.at(call.app, _read(call, call.query(AimQuery).at))
    return json_answer(AimAnswer(moment=moment_shown(found)), headers=NO_STORE)


async def restore(call: Call) -> Response:
    body = await call.body(RestoreBody)
    when = _when(call, body)
    backups = call.rooms.backups
    went = await backups.restores.restore(call.principal, call.app, lambda app: backups.aims.at(app, when))
    answer = RestoredAnswer(
        app=await shown.app(call.rooms, went.app),
        restored=moment_shown(went.aim),
        undo=went.undo,
    )
    return json_answer(answer, 201)


def point_shown(point: Point) -> RestorePoint:
    mark = point.mark
    return RestorePoint(
        id=point.id,
        at=shown.moment(mark.at),
        kind=point.kind,
        by=point.by,
        note=point.note,
        version=point.version,
        state=point.state,
        problem=point.problem,
        files_at=shown.moment(mark.files_at) if mark.manifest else None,
    )


def moment_shown(found: Aim) -> Moment:
    return Moment(
        at=shown.moment(found.at),
        precision_seconds=round(found.precision, 3),
        databases=[
            Restorable(path=part.path, at=shown.moment(part.at), precision_seconds=round(part.precision, 3))
            for part in found.databases
        ],
        files_at=shown.moment(found.files_at) if found.manifest else None,
        version=found.version,
        point=found.point.id if found.point else None,
    )


BACKUPS = "/api/apps/{name}/backups"
OWNERS = ("unauthorized", "not_found", "conflict", "replica_away", "replica_refused")
WRITES = (*OWNERS, "cross_site", "bad_request", "invalid", "too_large", "unsupported_media_type", "overloaded")
ENDPOINTS = (
    Endpoint(
        method="GET", path=BACKUPS, handler=show_backups, access=Access.OWNER, answers=json_of(BackupsAnswer),
        summary="What is kept of the app's data, which moments can be reached, and whether that was proven.",
        errors=OWNERS,
    ),
    Endpoint(
        method="POST", path=BACKUPS, handler=make_point, access=Access.OWNER, body=PointBody, status=201,
        answers=json_of(PointAnswer), summary="Make a restore point of now.", errors=WRITES,
    ),
    Endpoint(
        method="POST", path=f"{BACKUPS}/drill", handler=drill, access=Access.OWNER, body=schema.Nothing,
        answers=json_of(DrillAnswer),
        summary="See whether the newest backup can be restored and, while the app sleeps, is what is live.",
        errors=(*OWNERS, "cross_site", "overloaded", "disk_full"),
    ),
    Endpoint(
        method="GET", path=f"{BACKUPS}/moment", handler=aim, access=Access.OWNER, query=AimQuery,
        answers=json_of(AimAnswer), summary="What a moment means, before anything is restored.",
        errors=(*OWNERS, "invalid", "not_reachable", "backup_broken"),
    ),
    Endpoint(
        method="POST", path="/api/apps/{name}/restore", handler=restore, access=Access.OWNER, body=RestoreBody,
        status=201, answers=json_of(RestoredAnswer),
        summary="Bring the data of a moment back. What was live becomes a restore point, so that this can be undone.",
        errors=(*WRITES, "not_reachable", "backup_broken", "deploy_failed", "disk_full", "secrets_locked"),
    ),
)  # fmt: skip


# Private


def _databases(report: Report) -> list[DatabaseBackup]:
    """Those that are followed now, and those that were: their moments can be reached too."""
    found = {database.path: database for database in report.databases}
    spans: dict[str, list[Span]] = {path: [] for path in found}
    for line, timeline in report.timelines:
        spans.setdefault(line.path, []).extend(
            Span(from_=shown.moment(one.start), to=shown.moment(one.end), precision_seconds=round(one.precision, 3))
            for one in timeline.spans
        )
    return [_database(path, found.get(path), spans[path]) for path in sorted(spans)]


def _database(path: str, known: Database | None, moments: list[Span]) -> DatabaseBackup:
    return DatabaseBackup(
        path=path,
        lag_seconds=round(known.lag_seconds, 3) if known else 0.0,
        synced_at=shown.moment_or_none(known.good_at) if known else None,
        problem=known.problem if known else "",
        moments=moments,
    )


def _proof(report: Report) -> Proof | None:
    proof = report.proof
    if proof is None:
        return None
    return Proof(shown.moment(proof.at), proof.ok, round(proof.milliseconds, 1), proof.problem)


def _when(call: Call, body: RestoreBody) -> When:
    if (body.at is UNSET) == (body.point is UNSET):
        raise SteadyError("invalid", "Say “at” with a time, or “point” with the id of a restore point: one of them.")
    if body.point is not UNSET:
        return AtPoint(body.point)
    assert body.at is not UNSET
    return _read(call, body.at)


def _read(call: Call, text: str) -> When:
    return read_when(text, datetime.fromtimestamp(call.rooms.now(), UTC))
