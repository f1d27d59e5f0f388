"""Who may make which call: a row for every operation of the API, with its smallest valid request.

A new operation needs a row here, or test_who_may.py fails: decide who may make it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steadyd.model import Cron, Principal, Scope, random_name
from steadyd.records.accounts import NewAccount
from steadyd.records.blocks import read_network
from steadyd.records.crons import putting
from steadyd.records.requests import Request
from steadyd.records.tokens import Wish
from tests.web.conftest import HELLO, Stage

OK = 0
"""Stands for the status of an operation that was done."""
PASSWORD = "correct horse"
KEEPING = (
    b"import { Database } from 'bun:sqlite';\nnew Database('data.sqlite').run('CREATE TABLE IF NOT EXISTS t (x)');\n"
    + HELLO
)

Rule = dict[str, int]
"""Who asks → the status, or OK.

owner: of the app · operator · other: a user · guest: another guest · anonymous · revoked, expired: the owner's tokens
that were · suspended: a user's token · read: the owner's token for looking · elsewhere: the owner's for another app
"""

DEAD: Rule = {"revoked": 401, "expired": 401, "suspended": 401}
EVERYBODY: Rule = dict.fromkeys("owner operator other guest anonymous read elsewhere".split(), OK) | DEAD
"""Looking at what everybody may know."""
EVERYBODY_DOES: Rule = {**EVERYBODY, "read": 403, "elsewhere": 403}
OWNER_LOOKS: Rule = {**EVERYBODY, "other": 404, "guest": 404, "anonymous": 404, "elsewhere": 404}
OWNER_DOES: Rule = {**OWNER_LOOKS, "read": 403}
OPERATOR: Rule = dict.fromkeys(EVERYBODY, 404) | {"operator": OK} | DEAD
ONESELF: Rule = {**EVERYBODY, "anonymous": 401, "read": 403, "elsewhere": 403}
"""About whoever asks."""
ONES_OWN: Rule = {**ONESELF, "operator": 404, "other": 404, "guest": 404}
"""About a thing that is the owner's, and nobody else's, not the operator's either."""

APPS_WORK: Rule = {**ONESELF, "other": 404, "guest": 404}
"""About what the owner did to the app."""


@dataclass(frozen=True)
class Scene:
    """A stage with everybody on it. The app `theirs` is the owner's; so is `elsewhere`."""

    stage: Stage
    owner: Principal
    tokens: Mapping[str, str]

    async def token(self, caller: str) -> str:
        """What `caller` shows; a guest is a new one each time, because some calls make a user of them."""
        return await self.stage.guest() if caller == "guest" else self.tokens.get(caller, "")


Prepare = Callable[[Scene], Awaitable[dict[str, str]]]


async def nothing(scene: Scene) -> dict[str, str]:
    return {}


async def a_session(scene: Scene) -> dict[str, str]:
    rooms = scene.stage.rooms
    secret = await rooms.people.add_session(scene.owner, rooms.now())
    sessions = await rooms.people.sessions(scene.owner.id, rooms.now())
    return {"id": next(session.id for session in sessions if session.is_of(secret))}


async def a_request(scene: Scene) -> dict[str, str]:
    app = await scene.stage.rooms.apps.by_name("theirs")
    assert app is not None
    asked = Request(0, scene.stage.rooms.now(), "id", "GET", "/", 200, "", "192.0.2.1", 1, 2, 3, 4, 5)
    return {"id": str(scene.stage.rooms.requests.store(app.id, [asked])[0].id)}


async def a_token(scene: Scene) -> dict[str, str]:
    rooms = scene.stage.rooms
    return {"id": (await rooms.library.tokens.add(scene.owner, Wish("to revoke"), rooms.now()))[1].id}


async def a_reset(scene: Scene) -> dict[str, str]:
    rooms = scene.stage.rooms
    return {"reset": (await rooms.library.accounts.add_reset("forgetful", rooms.now()))[0]}


async def a_block(scene: Scene) -> dict[str, str]:
    rooms = scene.stage.rooms
    return {"id": str((await rooms.library.blocks.add(read_network("198.51.100.7"), "", rooms.now())).id)}


async def a_cron(scene: Scene) -> dict[str, str]:
    """One that has run."""
    rooms = scene.stage.rooms
    app = await rooms.apps.by_name("theirs")
    assert app is not None
    await rooms.apps.write(putting(app.id, Cron("tick", "@yearly", path="/"), True, 50))
    (job,) = await rooms.library.crons.of(app.id)
    return {"id": "tick", "run": str(await rooms.library.crons.begin(job, rooms.now()))}


async def a_moment(scene: Scene) -> dict[str, str]:
    """Restore point 1, of a table with a row."""
    if not (scene.stage.moments.folder / "1").exists():
        scene.stage.moments.add(1, "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    return {}


@dataclass(frozen=True)
class Row:
    """One operation: the rule, and what is sent. In a text of `body`, `{word}` is filled from `prepare`'s answer.
    `outcome` is the status for who may, where there is nothing to do it to, or where it would not end."""

    rule: Rule
    body: Any = None
    query: str = ""
    source: bool = False
    outcome: int = 0
    path: dict[str, str] = field(default_factory=dict)
    prepare: Prepare = nothing


APP = "/api/apps/{name}"
DATA = {"file": "data.sqlite"}
CALLS: Mapping[str, Row] = {
    "GET /healthz": Row(EVERYBODY),
    "GET /metrics": Row(OPERATOR),
    "GET /api/openapi.json": Row(EVERYBODY),
    "GET /api/docs": Row(EVERYBODY),
    "GET /api/host": Row(OPERATOR),
    "POST /api/host/secrets/rotate": Row(OPERATOR, {}),
    "GET /api/host/blocks": Row(OPERATOR),
    "POST /api/host/blocks": Row(OPERATOR, {"network": "203.0.113.9"}),
    "DELETE /api/host/blocks/{id}": Row(OPERATOR, prepare=a_block),
    "GET /api/host/serves": Row(EVERYBODY, query="domain=localhost"),
    # apps
    "GET /api/apps": Row(EVERYBODY),
    "POST /api/apps": Row(EVERYBODY_DOES, source=True),
    f"GET {APP}": Row(EVERYBODY),
    f"PUT {APP}": Row({**EVERYBODY_DOES, "other": 409, "guest": 409, "anonymous": 409}, source=True),
    f"DELETE {APP}": Row(OWNER_DOES),
    f"POST {APP}/undelete": Row(OWNER_DOES, {}),
    f"POST {APP}/start": Row(OWNER_DOES, {}),
    f"POST {APP}/stop": Row(OWNER_DOES, {}),
    f"POST {APP}/restart": Row(OWNER_DOES, {}),
    f"GET {APP}/settings": Row(OWNER_LOOKS),
    f"PATCH {APP}/settings": Row(OWNER_DOES, {}),
    f"GET {APP}/env": Row(OWNER_LOOKS),
    f"PUT {APP}/env": Row(OWNER_DOES, {}),
    f"PATCH {APP}/env": Row(OWNER_DOES, {}),
    f"POST {APP}/suspend": Row(OPERATOR, {}, path={"name": "elsewhere"}),
    f"POST {APP}/resume": Row(OPERATOR, {}, path={"name": "elsewhere"}),
    f"POST {APP}/rename": Row(OWNER_DOES, {"name": "theirs"}),
    # Owned by somebody with an account, who alone may keep it; a guest's app is claimed in test_ownership.py.
    f"POST {APP}/claim": Row({**ONESELF, "operator": 403, "other": 403, "guest": 403}, {}),
    f"GET {APP}/databases": Row(OWNER_LOOKS),
    f"POST {APP}/databases/{{file}}/query": Row(OWNER_DOES, {"sql": "SELECT 1"}, path=DATA),
    f"GET {APP}/databases/{{file}}/schema": Row(OWNER_LOOKS, path=DATA),
    f"GET {APP}/databases/{{file}}/check": Row(OWNER_LOOKS, path=DATA),
    f"GET {APP}/databases/{{file}}/rows": Row(OWNER_LOOKS, query="table=t", path=DATA),
    f"POST {APP}/databases/{{file}}/edits": Row(
        OWNER_DOES, {"table": "t", "edits": [{"op": "insert", "set": {"x": 1}}]}, path=DATA
    ),
    f"GET {APP}/databases/{{file}}/changed": Row(OWNER_LOOKS, query="from=1", path=DATA, prepare=a_moment),
    f"POST {APP}/databases/{{file}}/bring-back": Row(
        OWNER_DOES, {"from": "1", "table": "t"}, path=DATA, prepare=a_moment
    ),
    f"GET {APP}/databases/{{file}}/export": Row(OWNER_LOOKS, query="format=json&table=t", path=DATA),
    f"POST {APP}/databases/{{file}}/import": Row(
        OWNER_DOES, {"content": "x\n1\n"}, query="format=csv&table=t", path=DATA
    ),
    f"GET {APP}/statements": Row(OWNER_LOOKS),
    f"DELETE {APP}/statements": Row(OWNER_DOES),
    f"GET {APP}/metrics": Row(OWNER_LOOKS),
    f"GET {APP}/deaths": Row(OWNER_LOOKS),
    f"GET {APP}/metrics/series": Row(OWNER_LOOKS),
    f"GET {APP}/logs": Row(OWNER_LOOKS),
    f"GET {APP}/requests": Row(OWNER_LOOKS),
    f"GET {APP}/requests/{{id}}": Row(OWNER_LOOKS, prepare=a_request),
    f"GET {APP}/events": Row(OWNER_LOOKS),
    f"POST {APP}/notify/test": Row(OWNER_DOES, {}, outcome=422),
    f"GET {APP}/targets": Row(OWNER_LOOKS),
    f"POST {APP}/targets": Row(OPERATOR, {"target": "host:80"}),
    f"DELETE {APP}/targets/{{target}}": Row(OPERATOR, path={"target": "host:80"}),
    f"GET {APP}/crons": Row(OWNER_LOOKS),
    f"PUT {APP}/crons/{{id}}": Row(OWNER_DOES, {"schedule": "@daily", "path": "/"}, path={"id": "tick"}),
    f"DELETE {APP}/crons/{{id}}": Row(OWNER_DOES, prepare=a_cron),
    f"POST {APP}/crons/{{id}}/run": Row(OWNER_DOES, {}, prepare=a_cron),
    f"GET {APP}/crons/{{id}}/runs": Row(OWNER_LOOKS, prepare=a_cron),
    f"GET {APP}/crons/{{id}}/runs/{{run}}": Row(OWNER_LOOKS, prepare=a_cron),
    f"GET {APP}/operations": Row(OWNER_LOOKS),
    "GET /api/operations": Row({**ONESELF, "read": OK}),
    "GET /api/operations/{id}": Row({**APPS_WORK, "read": OK}, path={"id": "1"}),
    "POST /api/operations/{id}/cancel": Row(APPS_WORK, {}, path={"id": "1"}, outcome=409),
    f"POST {APP}/repl": Row(OWNER_DOES, {"endless": True}, outcome=422),
    f"POST {APP}/repl/{{session}}": Row(OWNER_DOES, {}, path={"session": "1"}, outcome=422),
    f"POST {APP}/preview": Row(OWNER_DOES, {"files": {}, "merge": True}),
    f"GET {APP}/preview": Row(OWNER_LOOKS),
    f"DELETE {APP}/preview": Row(OWNER_DOES),
    f"GET {APP}/preview/logs": Row(OWNER_LOOKS),
    f"POST {APP}/try": Row(OWNER_DOES, {}),
    # versions
    f"GET {APP}/deploys": Row(OWNER_LOOKS),
    f"POST {APP}/deploys": Row(OWNER_DOES, source=True),
    f"POST {APP}/rollback": Row(OWNER_DOES, {"version": 1}),
    f"GET {APP}/versions": Row(OWNER_LOOKS),
    f"GET {APP}/versions/{{n}}": Row(OWNER_LOOKS),
    f"PATCH {APP}/versions/{{n}}": Row(OWNER_DOES, {"pinned": True}),
    f"GET {APP}/versions/{{n}}/diff/{{m}}": Row(OWNER_LOOKS),
    f"GET {APP}/versions/{{n}}/archive": Row(OWNER_LOOKS),
    f"GET {APP}/versions/{{n}}/types": Row(OWNER_LOOKS),
    f"GET {APP}/versions/{{n}}/files": Row(OWNER_LOOKS),
    f"GET {APP}/versions/{{n}}/files/{{path}}": Row(OWNER_LOOKS),
    f"GET {APP}/archive": Row(OWNER_DOES, query="data=1"),
    f"GET {APP}/backups": Row(OWNER_LOOKS),
    f"POST {APP}/backups": Row(OWNER_DOES, {"note": "n"}, outcome=503),
    f"POST {APP}/backups/drill": Row(OWNER_DOES, outcome=409),
    f"GET {APP}/backups/moment": Row(OWNER_LOOKS, query="at=2h+ago", outcome=422),
    f"POST {APP}/restore": Row(OWNER_DOES, {"at": "2h ago"}, outcome=422),
    f"POST {APP}/fork": Row(OWNER_DOES, {"name": "{fresh}"}),
    # people
    "GET /api/me": Row({**ONESELF, "read": OK, "elsewhere": OK}),
    "PATCH /api/me": Row(ONESELF, {}),
    "POST /api/me/notify/test": Row(ONESELF, {}, outcome=422),
    "POST /api/users": Row(EVERYBODY_DOES, {"username": "{fresh}", "password": PASSWORD}),
    "GET /api/users": Row(OPERATOR),
    "POST /api/users/invitations": Row(OPERATOR, {}),
    "POST /api/users/{username}/suspend": Row(OPERATOR, {}, path={"username": "forgetful"}),
    "POST /api/users/{username}/resume": Row(OPERATOR, {}, path={"username": "forgetful"}),
    "POST /api/users/{username}/reset": Row(OPERATOR, {}, path={"username": "forgetful"}),
    "GET /api/sessions": Row(ONESELF),
    "DELETE /api/sessions": Row(ONESELF),
    "POST /api/sessions": Row(EVERYBODY_DOES, {"username": "other", "password": PASSWORD}),
    "DELETE /api/sessions/current": Row(EVERYBODY),
    "DELETE /api/sessions/{id}": Row(ONES_OWN, prepare=a_session),
    "POST /api/passwords": Row(EVERYBODY_DOES, {"reset": "{reset}", "password": PASSWORD}, prepare=a_reset),
    "GET /api/tokens": Row(ONESELF),
    "POST /api/tokens": Row(ONESELF, {"label": "new"}),
    "DELETE /api/tokens/{id}": Row(ONES_OWN, prepare=a_token),
}
"""`METHOD /path` as openapi.json has it → its row."""


async def everybody(stage: Stage) -> Scene:
    """The stage with everybody on it."""
    rooms, now = stage.rooms, stage.rooms.now()
    hashed = await rooms.passwords.hash(PASSWORD)

    async def user(name: str) -> Principal:
        return await rooms.library.accounts.sign_up(NewAccount(name, "", hashed), None, now)

    async def token(of: Principal, wish: Wish) -> str:
        return (await rooms.library.tokens.add(of, wish, now))[0]

    owner, other, suspended = await user("owner-1"), await user("other"), await user("suspended-1")
    await user("forgetful")
    plain = Wish("test")
    tokens = {"operator": stage.operator_token, "owner": await token(owner, plain), "other": await token(other, plain)}
    await stage.app("theirs", tokens["owner"], KEEPING)
    elsewhere = await stage.app("elsewhere", tokens["owner"])
    tokens["read"] = await token(owner, Wish("read", Scope.READ))
    tokens["elsewhere"] = await token(owner, Wish("elsewhere", app_id=elsewhere.id))
    tokens["expired"] = await token(owner, Wish("expired", expires_at=now - 1))
    secret, revoked = await rooms.library.tokens.add(owner, Wish("revoked"), now)
    await rooms.library.tokens.revoke(owner.id, revoked.id)
    tokens["revoked"], tokens["suspended"] = secret, await token(suspended, plain)
    await rooms.library.accounts.suspend("suspended-1", "Spam.")
    return Scene(stage, owner, tokens)


async def request_of(scene: Scene, operation: str) -> tuple[str, str, bytes, str]:
    """The smallest valid request: method, path with its query, body, content type."""
    row = CALLS[operation]
    words = {"name": "theirs", "n": "1", "m": "1", "path": "index.ts", "fresh": random_name()}
    words |= row.path | await row.prepare(scene)
    method, path = operation.split(" ")
    path = path.format(**words) + (f"?{row.query}" if row.query else "")
    if row.source:
        return method, path, HELLO, "text/plain"
    content = b"" if row.body is None else _filled(row.body, words)
    return method, path, content, "application/json"


# Private


def _filled(body: Any, words: Mapping[str, str]) -> bytes:
    text = json.dumps(body)
    for word, value in words.items():
        text = text.replace(f'"{{{word}}}"', json.dumps(value))
    return text.encode()
