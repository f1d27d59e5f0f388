from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import install, outlay
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place
from steadyd.runner.install import (
    INSTALL_SECONDS_MAX,
    SCAN_SECONDS_MAX,
    Installed,
    Installer,
)
from steadyd.runner.lockfile import LOCK, resolved
from steadyd.runner.modules import Modules, modules_path
from steadyd.runner.process import Exit
from steadyd.runner.registry import REGISTRY, Address, Registry
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import Result, Tools
from tests.npm import Rerouted, needs_openssl, npm
from tests.runner.conftest import UID, run, tree

HONO = 'import { Hono } from "hono";\nexport default new Hono().get("/", (c) => c.text("hi"));\n'
HASH = "sha512-XI5MPzVNApjAyhQzphX8BkmKsKUxD4LdyK24iZeQGinBN9yTQT3bFlCBy/aVx2HrNcqQGsdot8ghrjyrvMCoEA=="
LEFT_PAD = f'"left-pad": ["left-pad@1.3.0", "", {{}}, "{HASH}"],\n'.encode()


class CountingTools(Tools):
    """The real tools, and what they were asked for."""

    def __init__(self, engine: Engine, sandboxed: bool = True) -> None:
        super().__init__(engine, sandboxed)
        self.asked: list[str] = []

    async def run(self, room: Room, words: Sequence[str], seconds: float) -> Result:
        self.asked.append("install" if "{engine}/install.ts" in words else "scan")
        return await super().run(room, words, seconds)


def installer(root: Path, tools: Tools, registry: Registry | Address = REGISTRY) -> Installer:
    registry = registry if isinstance(registry, Registry) else Registry(root, registry)
    return Installer(tools, registry, Modules(root / "modules", root))


def place(root: Path) -> Place:
    return Place(root / "app", UID)


def package(**content: object) -> str:
    return json.dumps(content)


# ------------------------------------------------------------------------------------------------- without the registry


def test_an_app_without_imports_costs_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        tools = CountingTools(bun)
        source = 'import { a } from "./a"; import fs from "node:fs"; import { Database } from "bun:sqlite";'
        assert await installer(root, tools).install(place(root), tree(source)) == Installed()
        assert (tools.asked, place(root).root.exists()) == ([], False)

    run(body())


@pytest.mark.sandbox
@pytest.mark.parametrize("path", ["index.ts", "lib/{id}.ts", "--help.ts", "a b/{engine.__class__}.ts", "[...x].tsx"])
def test_what_does_not_parse_names_no_package(path: str, root: Path, bun: Engine) -> None:
    """Whether that matters, the check says, which knows what a start reaches."""

    async def body() -> None:
        files = {"index.ts": "", path: 'import { Hono } from "hono";\nconst = 1;\n'}
        installed = await installer(root, Tools(bun, sandboxed=True)).install(place(root), tree(files))
        assert (installed.modules, installed.lock) == ("", None)
        assert list(place(root).scratch.iterdir()) == []

    run(body())


@pytest.mark.sandbox
def test_a_package_that_cannot_be_had_fails_with_the_reason_and_leaves_nothing(root: Path, bun: Engine) -> None:
    """Whether the registry says no or there is none."""

    async def body() -> None:
        files = {"index.ts": "", "package.json": package(dependencies={"steadyd-no-such-package-at-all": "1.0.0"})}
        with pytest.raises(SteadyError) as caught:
            await installer(root, Tools(bun, sandboxed=True)).install(place(root), tree(files))
        assert (caught.value.code, caught.value.details["step"]) == ("deploy_failed", "install")
        assert "steadyd-no-such-package-at-all" in caught.value.details["reason"] + str(caught.value.details["logs"])
        assert list(place(root).scratch.iterdir()) == []
        assert not (place(root).root / "modules").exists()

    run(body())


LEADS = {
    "an address": '["lead@http://{host}/x.tgz", {}, "{hash}"]',
    "another registry": '["lead@1.0.0", "http://{host}/", {}, "{hash}"]',
    "a tarball elsewhere": '["lead@1.0.0", "http://{host}/lead-1.0.0.tgz", {}, "{hash}"]',
    "a repository": '["lead@git+http://{host}/x.git#abcdef0", {}, "abcdef0"]',
}


@pytest.mark.sandbox
@pytest.mark.parametrize("lead", LEADS)
def test_no_lock_leads_an_installation_anywhere_else(root: Path, bun: Engine, lead: str) -> None:
    """Not to a listener of the host's loopback, which an installation with a network would ask."""

    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as trap:
            trap.setblocking(False)
            host = f"127.0.0.1:{trap.getsockname()[1]}"
            entry = LEADS[lead].replace("{host}", host).replace("{hash}", HASH)
            lock = '{"lockfileVersion": 1, "workspaces": {"": {"name": "app", "dependencies": {"lead": "1.0.0"}}},'
            lock += f' "packages": {{"lead": {entry}}}}}'
            files = tree({"index.ts": "", "package.json": package(dependencies={"lead": "1.0.0"}), LOCK: lock})
            installing = installer(root, Tools(bun, sandboxed=True), ("registry.invalid", 443))
            with pytest.raises(SteadyError) as caught:
                await installing.install(place(root), files)
            assert caught.value.details["step"] == "install"
            with pytest.raises(BlockingIOError):
                trap.accept()

    run(body())


class HoardingTools(Tools):
    """In place of an installation, something that fills a folder and goes on."""

    def __init__(self, engine: Engine, files: int, bytes_each: int) -> None:
        super().__init__(engine, sandboxed=False)
        self.files, self.bytes_each = files, bytes_each
        self.ended = False

    async def run(self, room: Room, words: Sequence[str], seconds: float) -> Result:
        fill(room.extra["/cache"], self.files, self.bytes_each)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.ended = True
        return Result(Exit(0, None), b"", False)


def fill(folder: Path, files: int, bytes_each: int) -> None:
    for number in range(files):
        (folder / str(number)).write_bytes(b"x" * bytes_each)


@pytest.mark.parametrize(("files", "bytes_each"), [(12, 1), (2, 60_000)])
def test_an_installation_that_takes_too_much_of_the_disk_is_ended(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch, files: int, bytes_each: int
) -> None:
    monkeypatch.setattr(outlay, "INSTALL_BYTES_MAX", 100_000)
    monkeypatch.setattr(outlay, "INSTALL_FILES_MAX", 10)
    monkeypatch.setattr(outlay, "LOOK_EVERY_SECONDS", 0.01)

    async def body() -> None:
        tools = HoardingTools(bun, files, bytes_each)
        wanted = tree({"package.json": package(dependencies={"a": "1"})})
        with pytest.raises(SteadyError) as caught:
            await installer(root, tools).install(place(root), wanted)
        assert (caught.value.code, tools.ended) == ("too_large", True)
        assert os.listdir(place(root).scratch) == []

    run(body())


def test_what_was_fetched_before_is_kept_up_to_a_limit(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "CACHE_BYTES_MAX", 20_000)

    async def body() -> None:
        asked = SlowTools(bun)
        cache = place(root).root / "cache"
        cache.mkdir(parents=True)
        wanted = tree({"package.json": package(dependencies={"a": "1"})})
        for size, kept in [(3_000, ["0"]), (60_000, [])]:
            fill(cache, 1, size)
            with pytest.raises(SteadyError):
                await installer(root, asked).install(place(root), wanted)
            assert os.listdir(cache) == kept

    run(body())


# ------------------------------------------------------------------------------------------------- from the registry


@pytest.mark.network
@pytest.mark.parametrize("sandboxed", [pytest.param(True, marks=pytest.mark.sandbox), False])
def test_an_import_without_a_package_json_is_resolved_told_and_locked(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        tools = CountingTools(bun, sandboxed)
        first = await installer(root, tools).install(place(root), tree(HONO))
        assert first.lock is not None
        [note] = first.notes
        assert note == f"hono {resolved(first.lock, 'hono')} was added for an import."
        assert (modules_path(place(root), first.modules) / "hono" / "package.json").is_file()
        assert tools.asked == ["scan", "install"]
        again = await installer(root, tools).install(place(root), {**tree(HONO), LOCK: first.lock})
        assert again == first
        assert await installer(root, tools).install(place(root), tree(HONO), pinned=first.lock) == first
        assert tools.asked == ["scan", "install", "scan", "scan"], "nothing is fetched a second time"

    run(body())


@pytest.mark.network
@pytest.mark.sandbox
def test_lost_dependencies_come_back_without_the_registry(root: Path, bun: Engine) -> None:
    """From what was fetched before, as the lock says."""

    async def body() -> None:
        tools = Tools(bun, sandboxed=True)
        made = await installer(root, tools).install(place(root), tree(HONO))
        assert made.lock is not None
        files = {**tree(HONO), LOCK: made.lock}
        path = modules_path(place(root), made.modules)
        before = sorted(str(found.relative_to(path)) for found in path.rglob("*"))
        shutil.rmtree(root / "modules")
        alone = installer(root, tools, ("registry.invalid", 443))
        await alone.restore(place(root), files, made.modules)
        assert sorted(str(found.relative_to(path)) for found in path.rglob("*")) == before
        shutil.rmtree(root / "modules")
        shutil.rmtree(place(root).root / "cache")
        with pytest.raises(SteadyError):
            await alone.restore(place(root), files, made.modules)

    run(body())


@pytest.mark.network
@pytest.mark.sandbox
def test_what_a_version_from_elsewhere_needs_is_known_before_it_is_installed(root: Path, bun: Engine) -> None:
    """By its lock; one that leaves something open would decide for everybody who has the same lock."""

    async def body() -> None:
        tools = Tools(bun, sandboxed=True)
        installing = installer(root, tools)
        made = await installing.install(place(root), tree(HONO))
        assert made.lock is not None
        assert await installing.key_of(place(root), {**tree(HONO), LOCK: made.lock}) == made.modules
        assert await installing.key_of(place(root), tree("export default {};")) == ""
        open_key = await installing.key_of(place(root), tree(HONO))
        with pytest.raises(SteadyError, match="does not pin hono"):
            await installing.restore(place(root), tree(HONO), open_key)
        assert not modules_path(place(root), open_key).exists()

    run(body())


@pytest.mark.network
@pytest.mark.sandbox
def test_no_script_of_the_package_runs_and_a_lock_that_fits_is_kept(root: Path, bun: Engine) -> None:
    async def body() -> None:
        installing = installer(root, tools := CountingTools(bun))
        scripts = dict.fromkeys(("preinstall", "install", "postinstall", "prepare"), "touch /app/ran /cache/ran")
        files = tree(
            {"index.ts": "", "package.json": package(name="x", scripts=scripts, dependencies={"hono": "4.0.0"})}
        )
        made = await installing.install(place(root), files)
        assert [str(path) for path in place(root).root.rglob("ran")] == []
        assert made.lock is not None
        # A lock that pins more than is asked for (development dependencies) is still the app's own: it stays as it is.
        own = made.lock.replace(b'"packages": {', b'"packages": {\n    ' + LEFT_PAD)
        kept = await installing.install(place(root), {**files, LOCK: own})
        assert (kept.lock, kept.notes) == (own, ())
        assert (await installing.install(place(root), {**files, LOCK: own})) == kept
        assert tools.asked == ["install", "install"]
        # One that does not fit is renewed, and that is said.
        more = {**files, "package.json": package(dependencies={"hono": "4.0.0", "left-pad": "1.3.0"}).encode()}
        renewed = await installing.install(place(root), {**more, LOCK: made.lock})
        assert renewed.lock is not None
        assert (resolved(renewed.lock, "left-pad"), len(renewed.notes)) == ("1.3.0", 1)
        assert "renewed" in renewed.notes[0]

    run(body())


# ------------------------------------------------------------------------------------------------- from one of our own


def needs(**dependencies: str) -> dict[str, bytes]:
    return tree({"index.ts": "", "package.json": package(dependencies=dependencies)})


@needs_openssl
@pytest.mark.sandbox
def test_two_apps_with_one_lock_install_once(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with npm(root, monkeypatch) as there:
            there.publish("inner", "2.0.0")
            there.publish("pad", "1.3.0", needs={"inner": "^2"})
            installing = installer(root, tools := CountingTools(bun), Rerouted(root, there))
            told: list[str] = []
            one = await installing.install(place(root), needs(pad="1.3.0"), tell=told.append)
            assert one.lock is not None
            assert told == ["Resolving 1 dependency.", "Linking the packages."]
            there.away = True
            other = Place(root / "other", None if UID is None else UID + 1)
            assert await installing.install(other, {**needs(pad="1.3.0"), LOCK: one.lock}) == one
            assert modules_path(other, one.modules).samefile(modules_path(place(root), one.modules))
            third = Place(root / "third", other.uid)
            same = await installing.install(third, needs(pad="1.3.0"))
            assert same == one, "and without a lock, what was resolved minutes ago"
            assert (tools.asked, len(there.tarballs)) == (["install"], 2)

    run(body())


@needs_openssl
@pytest.mark.sandbox
def test_two_apps_at_one_moment_install_once(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with npm(root, monkeypatch) as there:
            there.publish("pad", "1.3.0")
            installing = installer(root, tools := CountingTools(bun), Rerouted(root, there))
            places = [Place(root / str(number), UID) for number in range(4)]
            made = await asyncio.gather(*(installing.install(each, needs(pad="^1")) for each in places))
            assert len({each.modules for each in made}) == 1
            assert tools.asked == ["install"]

    run(body())


@needs_openssl
@pytest.mark.sandbox
def test_a_resolution_is_used_for_minutes_and_so_many_are_kept(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with npm(root, monkeypatch) as there:
            installing = installer(root, tools := CountingTools(bun), Rerouted(root, there))
            for name in ("a", "b"):
                there.publish(name, "1.0.0")
            monkeypatch.setattr(install, "RESOLUTIONS_MAX", 1)
            for wanted in (needs(a="1"), needs(b="1"), needs(b="1"), needs(a="1")):
                await installing.install(Place(root / os.urandom(4).hex(), UID), wanted)
            assert tools.asked == ["install"] * 3
            monkeypatch.setattr(install, "RESOLUTION_SECONDS_MAX", 0.0)
            await installing.install(Place(root / "late", UID), needs(a="1"))
            assert tools.asked == ["install"] * 4

    run(body())


@needs_openssl
@pytest.mark.sandbox
def test_each_way_to_fail_is_told_by_its_cause(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with npm(root, monkeypatch) as there:
            for version in ("0.9.0", "1.0.0", "1.2.0", "1.3.0", "2.0.0", "2.1.0", "3.0.0-beta.1"):
                there.publish("pad", version)
            there.publish("broken", "1.0.0", needs={"inner": "1"})
            installing = installer(root, Tools(bun, sandboxed=True), Rerouted(root, there))

            async def failure(files: dict[str, bytes]) -> dict[str, object]:
                with pytest.raises(SteadyError) as caught:
                    await installing.install(place(root), files)
                assert (caught.value.code, caught.value.details["step"]) == ("deploy_failed", "install")
                assert list(place(root).scratch.iterdir()) == []
                return caught.value.details

            typo = await failure(needs(padd="1"))
            assert (typo["cause"], typo["package"], typo["file"]) == ("package_not_found", "padd", "package.json")
            imported = await failure(tree('\nimport "padd/x";\n'))
            assert (imported["cause"], imported["file"], imported["line"]) == ("package_not_found", "index.ts", 2)
            inner = await failure(needs(broken="1"))
            assert (inner["cause"], inner["package"], inner.get("file")) == ("package_not_found", "inner", None)
            unheard = await failure(needs(pad="1.9.0"))
            assert (unheard["cause"], unheard["nearest"]) == (
                "version_not_found", ["2.1.0", "2.0.0", "1.3.0", "1.2.0", "1.0.0"],
            )  # fmt: skip
            made = await installing.install(place(root), needs(pad="1.0.0"))
            assert made.lock is not None
            bad = {**needs(pad="1.0.0"), LOCK: re.sub(rb"sha512-.{4}", b"sha512-AAAA", made.lock)}
            shutil.rmtree(place(root).root / "cache")
            assert (await failure(bad))["cause"] == "integrity_failed"
            assert (await failure({**needs(pad="1.0.0"), LOCK: b"<<<<<<<"}))["cause"] == "lockfile_invalid"
            there.away = True
            away = await failure(needs(pad="2.0.0"))
            assert away["cause"] == "registry_away"
            assert "installed already still run" in str(away["reason"])

    run(body())


@needs_openssl
@pytest.mark.sandbox
def test_no_lock_makes_one_package_of_another(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or whoever deploys it first decides what all apps of this host have under that name."""

    async def body() -> None:
        async with npm(root, monkeypatch) as there:
            there.publish("evil", "1.0.0", "module.exports = 'evil';")
            there.publish("pad", "1.3.0", "module.exports = 'pad';")
            installing = installer(root, Tools(bun, sandboxed=True), Rerouted(root, there))
            evil = await installing.install(Place(root / "first", UID), needs(evil="1.0.0"))
            honest = await installing.install(Place(root / "second", UID), needs(pad="1.3.0"))
            assert evil.lock is not None
            assert honest.lock is not None
            digest = re.search(rb"sha512-[^\"]+", evil.lock)
            assert digest is not None
            sly = re.sub(rb'"pad@1.3.0", "", {}, "[^"]+"', b'"pad@1.3.0", "https://%s/evil/-/evil-1.0.0.tgz", {}, "%s"'
                         % (REGISTRY[0].encode(), digest[0]), honest.lock)  # fmt: skip
            assert sly != honest.lock
            told = await installing.install(place(root), {**needs(pad="1.3.0"), LOCK: sly})
            assert told.notes == (f"{LOCK} did not fit package.json and was renewed: pad.",)
            assert "pad" in (modules_path(place(root), told.modules) / "pad" / "index.js").read_text()

    run(body())


# ------------------------------------------------------------------------------------------------- limits


class SlowTools(Tools):
    """Tools that are killed at the deadline they were given, whatever they were asked for."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, sandboxed=False)
        self.seconds: list[float] = []

    async def run(self, room: Room, words: Sequence[str], seconds: float) -> Result:
        self.seconds.append(seconds)
        return Result(Exit(None, "SIGKILL"), b"", True)


@pytest.mark.parametrize(
    ("files", "seconds", "step"),
    [
        ({"index.ts": HONO.encode()}, SCAN_SECONDS_MAX, "check"),
        ({"package.json": b'{"dependencies": {"hono": "^4"}}'}, INSTALL_SECONDS_MAX, "install"),
    ],
)
def test_what_takes_too_long_says_so(
    root: Path, bun: Engine, files: dict[str, bytes], seconds: float, step: str
) -> None:
    async def body() -> None:
        slow = SlowTools(bun)
        with pytest.raises(SteadyError) as caught:
            await installer(root, slow).install(Place(root / "app", UID), files)
        assert (caught.value.code, caught.value.details["step"]) == ("deploy_failed", step)
        assert caught.value.details.get("cause", "timeout") == "timeout"
        assert slow.seconds == [seconds]

    run(body())


def test_a_lock_is_read_up_to_its_limit_and_never_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "LOCK_BYTES_MAX", 4)
    (tmp_path / "lock").write_bytes(b"123456")
    (tmp_path / "link").symlink_to(tmp_path / "lock")
    assert install._read_plain(tmp_path / "lock") == b"1234"
    assert install._read_plain(tmp_path / "link") == b""
