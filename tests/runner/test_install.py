from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import install
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place
from steadyd.runner.install import (
    DEPENDENCIES_MAX,
    INSTALL_SECONDS_MAX,
    LOCK,
    SCAN_SECONDS_MAX,
    Installed,
    Installer,
    declared_dependencies,
    locked,
    modules_key,
    modules_path,
    resolved,
)
from steadyd.runner.process import Exit
from steadyd.runner.registry import REGISTRY, Address, Registry
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import Result, Tools
from tests.runner.conftest import UID, run, tree

HONO = 'import { Hono } from "hono";\nexport default new Hono().get("/", (c) => c.text("hi"));\n'
HASH = "sha512-XI5MPzVNApjAyhQzphX8BkmKsKUxD4LdyK24iZeQGinBN9yTQT3bFlCBy/aVx2HrNcqQGsdot8ghrjyrvMCoEA=="
LEFT_PAD = f'"left-pad": ["left-pad@1.3.0", "", {{}}, "{HASH}"],\n'.encode()
LOCKED = b"""{
  "workspaces": { "": { "name": "app", "dependencies": { "hono": "^4", }, }, },
  "packages": {
    "hono": ["hono@4.9.2", "", {}, "sha512-aaa"],

    "@scope/a.b": ["@scope/a.b@1.0.0-rc.1", "", {}, "sha512-bbb"],
  }
}
"""


class CountingTools(Tools):
    """The real tools, and what they were asked for."""

    def __init__(self, engine: Engine, sandboxed: bool = True) -> None:
        super().__init__(engine, sandboxed)
        self.asked: list[str] = []

    async def run(self, room: Room, words: Sequence[str], seconds: float) -> Result:
        self.asked.append("install" if "{engine}/install.ts" in words else "scan")
        return await super().run(room, words, seconds)


def installer(root: Path, tools: Tools, address: Address = REGISTRY) -> Installer:
    return Installer(tools, Registry(root, address))


def place(root: Path) -> Place:
    return Place(root / "app", UID)


def package(**content: object) -> str:
    return json.dumps(content)


def refusal(dependencies: object) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        declared_dependencies(tree({"package.json": package(dependencies=dependencies)}))
    return caught.value


# ------------------------------------------------------------------------------------------------- what is asked for


FINE = (
    ("^1.2.3|1.x || >=2.0.0 <3|*||latest|next-14|1.0.0-rc.1+build.5|~1|1 - 2|npm:hono@^4|npm:@scope/name@1|npm:other")
    .replace(" || ", " OR ")
    .split("|")
)


@pytest.mark.parametrize("spec", [spec.replace(" OR ", " || ") for spec in FINE])
def test_ranges_tags_and_other_names_of_the_registry_are_fine(spec: str) -> None:
    assert declared_dependencies(tree({"package.json": package(dependencies={"a": spec})})) == {"a": spec}


PLACES = """
file:/etc FILE:/etc link:../x workspace:* portal:x http://127.0.0.1/x.tgz https://x/y.tgz git://x/y git+ssh://git@x/y
git@github.com:a/b.git ssh://x /etc ./x ../x . .. ~/x user/repository github:user/repository gist:11081aaa281
gitlab:a/b npm:../x npm:http://x x\\y $(id)
"""


@pytest.mark.parametrize("spec", [*PLACES.split(), "1.0.0\nx", 3, None, {}, []])
def test_paths_and_addresses_are_refused_by_name(spec: object) -> None:
    error = refusal({"sneaky": spec})
    assert (error.code, error.details["dependency"], error.details["file"]) == ("invalid", "sneaky", "package.json")


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "@a", "@a/", "", ".", "a b", "a\n", "@A/b", "-" * 3 + "/x", "http://x"]
)
def test_names_that_no_package_has_are_refused(name: str) -> None:
    assert refusal({name: "1"}).code == "invalid"


@pytest.mark.parametrize("group", [[], "hono", 1])
def test_a_group_must_be_an_object(group: object) -> None:
    assert refusal(group).code == "invalid"


def test_development_dependencies_are_left_out_and_the_others_are_joined() -> None:
    files = {
        "package.json": package(
            dependencies={"a": "1"},
            optionalDependencies={"b": "2"},
            peerDependencies={"a": "3"},
            devDependencies={"d": "4"},
        )
    }
    assert declared_dependencies(tree(files)) == {"a": "1", "b": "2"}


def test_the_number_of_dependencies_is_limited() -> None:
    many = {f"p{number}": "1" for number in range(DEPENDENCIES_MAX)}
    assert len(declared_dependencies(tree({"package.json": package(dependencies=many)}))) == DEPENDENCIES_MAX
    assert refusal({**many, "more": "1"}).code == "too_large"


def test_the_lock_says_what_was_resolved() -> None:
    assert (resolved(LOCKED, "hono"), resolved(LOCKED, "@scope/a.b")) == ("4.9.2", "1.0.0-rc.1")
    assert (resolved(LOCKED, "hon"), resolved(LOCKED, "@scope/axb"), resolved(b"", "hono")) == ("", "", "")
    assert [line.split(b":")[0] for line in locked(LOCKED)] == [b'"hono"', b'"@scope/a.b"']


def test_the_key_is_all_that_decides_what_is_installed() -> None:
    key = modules_key({"a": "1", "b": "2"}, LOCKED, "1.4")
    assert key == modules_key({"b": "2", "a": "1"}, LOCKED, "1.4")
    others = [({"a": "1"}, LOCKED, "1.4"), ({"a": "1", "b": "2"}, b"", "1.4"), ({"a": "1", "b": "2"}, LOCKED, "1.5")]
    assert key not in [modules_key(*other) for other in others]


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


def test_why_an_installation_failed_is_said_plainly() -> None:
    said = b"error: GET https://registry.npmjs.org/@scope%2fname - 404\nerror: @scope/name@1 failed to resolve\n"
    result = Result(Exit(1, None), said, False)
    assert install._failed(result, "").details["reason"] == "“@scope/name” is not in the registry. Check the name."
    assert install._failed(result, "it is away.").details["reason"] == "it is away."
    version = b'error: No version matching "99" found for specifier "hono" (but package exists)'
    reason = install._failed(Result(Exit(1, None), version, False), "").details["reason"]
    assert reason == 'No version matching "99" found for specifier "hono" (but package exists)'


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
    monkeypatch.setattr(install, "INSTALL_BYTES_MAX", 100_000)
    monkeypatch.setattr(install, "INSTALL_FILES_MAX", 10)
    monkeypatch.setattr(install, "LOOK_EVERY_SECONDS", 0.01)

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
        shutil.rmtree(path.parent.parent)
        alone = installer(root, tools, ("registry.invalid", 443))
        await alone.restore(place(root), files, made.modules)
        assert sorted(str(found.relative_to(path)) for found in path.rglob("*")) == before
        shutil.rmtree(path.parent)
        shutil.rmtree(place(root).root / "cache")
        with pytest.raises(SteadyError):
            await alone.restore(place(root), files, made.modules)

    run(body())


@pytest.mark.network
@pytest.mark.sandbox
def test_no_script_of_the_package_runs_and_a_lock_that_fits_is_kept(root: Path, bun: Engine) -> None:
    async def body() -> None:
        installing = installer(root, tools := CountingTools(bun))
        scripts = dict.fromkeys(("preinstall", "install", "postinstall", "prepare"), "touch /app/ran /cache/ran")
        files = tree({"index.ts": "", "package.json": package(name="x", scripts=scripts, dependencies={"hono": "4.0.0"},
                                                              trustedDependencies=["hono"])})  # fmt: skip
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
