"""Operations that a crash interrupts, and the next start."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, Choices, File, Kind, Network, Principal, Version
from steadyd.records.apps import suspending
from steadyd.runner.controller import RESUME, SUSPEND
from steadyd.runner.engine import Engine
from steadyd.runner.modules import GONE
from steadyd.store import Connection
from tests.npm import Rerouted, needs_openssl, npm
from tests.runner.conftest import COUNTER, World, run, world

T = TypeVar("T")


class Crashing(Exception):
    """The machine stops here."""


HEIR = Principal("heir", Kind.USER, "Heir", 1.0)
NEXT = COUNTER.replace("VERSION = 1", "VERSION = 2")
VERSIONS = {
    "create": (1,), "deploy": (1, 2), "rollback": (2, 1), "restart": (1,), "start": (1,), "stop": (1,), "hold": (1,),
    "settings": (1,), "network": (1,), "delete": (1,), "undelete": (1,), "purge": (1,), "rename": (1,), "claim": (1,),
    "suspend": (1,), "resume": (1,),
}  # fmt: skip
"""Operation → the versions that may be live after it was interrupted: before it, and after."""


@pytest.mark.parametrize("kind", VERSIONS)
def test_what_a_crash_interrupts_is_as_before_or_done_after_the_next_start(
    kind: str, root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 4: stopped before the first, second, third … write to steady.db, until none is left."""
    number, crashed = 0, True
    while crashed:
        number += 1
        home = root / str(number)
        home.mkdir(mode=0o711)
        crashed = run(_crash(kind, home, bun, number, monkeypatch))
        run(_look(kind, home, bun))
    assert number > 2, "an operation is begun, committed and finished at least"


async def _crash(kind: str, home: Path, bun: Engine, number: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    count, crashed = 0, False
    async with world(home, bun, sandboxed=False) as here:
        await _before(kind, here)
        write = here.database.write

        async def watched(transaction: Callable[[Connection], T]) -> T:
            nonlocal count, crashed
            count += 1
            if count >= number:  # from then on nothing is written any more
                crashed = True
                raise Crashing
            return await write(transaction)

        with monkeypatch.context() as patched:
            patched.setattr(here.database, "write", watched)
            with contextlib.suppress(Crashing, SteadyError):
                await _work(kind, here)
    return crashed


async def _before(kind: str, here: World) -> None:
    if kind != "create":
        await here.create(COUNTER)
        await here.ask(method="POST")
    by = await here.operator()
    if kind == "rollback":
        await here.deploy(NEXT)
    elif kind == "claim":
        sql = "INSERT INTO principals (id, kind, name, created_at) VALUES (?, 'user', ?, 1.0)"
        await here.database.write(lambda db: db.execute(sql, (HEIR.id, HEIR.name)))
    elif kind == "start":
        await here.controller.stop(by, await here.app(), hold=True)
    elif kind == "resume":
        await _suspend(here)
    elif kind == "undelete":
        await here.removal.delete(by, await here.app())


async def _work(kind: str, here: World) -> None:
    by = await here.operator()
    work: dict[str, Callable[[App], Awaitable[object]]] = {
        "deploy": lambda app: here.deploy(NEXT),
        "rollback": lambda app: here.deployer.rollback(by, app, 1),
        "restart": lambda app: here.controller.restart(by, app),
        "start": lambda app: here.controller.start(by, app),
        "stop": lambda app: here.controller.stop(by, app, hold=False),
        "hold": lambda app: here.controller.stop(by, app, hold=True),
        "settings": lambda app: here.controller.settle(by, app, lambda _: Choices(cpus=0.5)),
        "network": lambda app: here.controller.settle(by, app, lambda _: Choices(network=Network.NONE)),
        "delete": lambda app: here.removal.delete(by, app),
        "undelete": lambda app: here.removal.undelete(by, app),
        "purge": lambda app: here.removal.purge(by, app),
        "rename": lambda app: here.workshop.identity.rename(by, app, "other"),
        "claim": lambda app: here.workshop.identity.claim(HEIR, app),
        "suspend": lambda app: _suspend(here),
        "resume": lambda app: here.controller.suspension(by, app, RESUME, suspending(app.id, None)),
    }
    if kind == "create":
        await here.create(COUNTER)
    else:
        await work[kind](await here.app())


async def _suspend(here: World) -> None:
    app = await here.app()
    await here.controller.suspension(await here.operator(), app, SUSPEND, suspending(app.id, "Spam."))


async def _look(kind: str, home: Path, bun: Engine) -> None:
    """After the next start: one of the two states, whole, and everything works."""
    async with world(home, bun, sandboxed=False) as here:
        assert await here.journal.unfinished() == []
        assert await here.rows("SELECT 1 FROM deploys WHERE status = 'running'") == []
        by, app = await here.operator(), await here.apps.by_name("hello") or await here.apps.by_name("other")
        if app is None:
            assert kind in ("create", "purge")
            assert list((home / "apps").iterdir()) == []
            await here.create(COUNTER)
            return
        await _agree(here, kind, app)
        if app.deleted_at is not None:
            await here.removal.undelete(by, app)
        if app.suspended:
            await here.controller.suspension(by, app, RESUME, suspending(app.id, None))
        if app.held:
            await here.controller.start(by, app)
        assert app.version in VERSIONS[kind]
        kept = [row[0] for row in await here.rows("SELECT number FROM versions")]
        assert kept == list(range(1, max(app.version, len(kept) if kind == "rollback" else 0) + 1))
        visits = 0 if kind == "create" else 1
        assert await here.ask(name=app.name) == f"{app.version} {visits}"
        assert set(here.moved) == ({"hello.localhost"} if app.name == "other" else set())
        scratch = here.fleet.ground.place(app).scratch
        assert not scratch.exists() or list(scratch.iterdir()) == []
        await here.deploy(COUNTER.replace("VERSION = 1", "VERSION = 9"), app.name)
        assert await here.ask(name=app.name) == f"9 {visits}"


async def _agree(here: World, kind: str, app: App) -> None:
    """What the journal says of the operation is what is true of the app."""
    said = [operation.outcome for operation in await here.journal.operations(app.id) if operation.kind == _kind(kind)]
    done = bool(said) and said[0] == "done"
    true = {
        "deploy": app.version == 2, "rollback": app.version == 1, "hold": app.held, "start": not app.held,
        "rename": app.name == "other", "claim": app.owner_id == HEIR.id,
        "suspend": bool(app.suspended), "resume": not app.suspended,
        "settings": app.limits.cpus == 0.5, "network": app.settings.network is Network.NONE,
        "delete": app.deleted_at is not None, "undelete": app.deleted_at is None, "create": True,
    }  # fmt: skip
    assert true.get(kind, done) is done, said


def _kind(kind: str) -> str:
    """What the journal calls it."""
    return {"hold": "stop", "network": "settings"}.get(kind, kind)


@pytest.mark.network
@pytest.mark.sandbox
def test_old_versions_run_when_the_registry_is_gone(root: Path, bun: Engine) -> None:
    """After a restart and by a rollback, even where their installed dependencies were lost; what only a failed version
    wanted is not kept."""
    source = 'import { Hono } from "hono";\nexport default new Hono().get("/", (c) => c.text("NUMBER"));\n'

    def kept() -> list[str]:
        return sorted(path.parent.name for path in (root / "apps").glob("*/modules/*/node_modules"))

    async def body() -> None:
        async with world(root, bun) as made:
            first = await made.create(source.replace("NUMBER", "one"))
            other = {"index.ts": source.replace("NUMBER", "two"), "package.json": '{"dependencies": {"hono": "4.0.0"}}'}
            second = await made.deploy(other)
            wanted = sorted([first.version.modules, second.version.modules])
            broken = {"index.ts": 'import "left-pad"; throw new Error("broken");'}
            with pytest.raises(SteadyError):
                await made.deploy(broken)
            assert kept() == wanted
        shutil.rmtree(root / "modules")
        async with world(root, bun, registry=("registry.invalid", 443)) as made:
            assert await made.ask() == "two"
            assert kept() == [second.version.modules]
            await made.deployer.rollback(await made.operator(), await made.app(), 1)
            assert await made.ask() == "one"
            await made.deploy({**other, "index.ts": other["index.ts"].replace("two", "three"),
                               "bun.lock": await made.deployer.content(lock_of(second.version))})  # fmt: skip
            assert await made.ask() == "three"
            assert kept() == wanted

    run(body())


@needs_openssl
@pytest.mark.sandbox
def test_what_is_installed_serves_all_apps_and_needs_no_registry(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = 'import pad from "pad"; export default { fetch: () => new Response("NUMBER " + pad) };'

    def version(number: str, pad: str) -> dict[str, str]:
        return {
            "index.ts": source.replace("NUMBER", number),
            "package.json": json.dumps({"dependencies": {"pad": pad}}),
        }

    def sets() -> set[str]:
        return {path.name for path in (root / "modules").iterdir() if not path.name.startswith(GONE)}

    async def body() -> None:
        async with npm(root, monkeypatch) as there, world(root, bun, registry=Rerouted(root, there)) as made:
            there.publish("pad", "1.0.0")
            there.publish("pad", "2.0.0")
            first = await made.create(version("one", "1.0.0"))
            following = made.fleet.events.subscribe((await made.app()).id)
            second = await made.deploy(version("two", "2.0.0"))
            told = [event.details["said"] for event in following.take(100) if "said" in event.details]
            following.close()
            assert told[:2] == ["Resolving 1 dependency.", "Linking the packages."]
            there.away = True
            await made.deployer.rollback(await made.operator(), await made.app(), 1)
            assert await made.ask() == "one 1.0.0"
            lock = await made.deployer.content(lock_of(second.version))
            await made.deploy({**version("three", "2.0.0"), "bun.lock": lock})
            assert await made.ask() == "three 2.0.0"
            other = await made.create({**version("other", "2.0.0"), "bun.lock": lock}, "other")
            assert await made.ask(name="other") == "other 2.0.0"
            assert other.version.modules == second.version.modules
            assert sets() == {first.version.modules, second.version.modules}
            with pytest.raises(SteadyError) as caught:
                await made.deploy(version("four", "1.1.0"))
            assert caught.value.details["cause"] == "registry_away"
            assert await made.ask() == "three 2.0.0"
            await made.workshop.removal.purge(await made.operator(), await made.app())
            assert await made.ask(name="other") == "other 2.0.0"
            assert sets() == {second.version.modules}

    run(body())


def lock_of(version: Version) -> File:
    return next(file for file in version.files if file.path == "bun.lock")
