"""Lifecycle scripts of packages that an app trusts: which run, in what, and what comes of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import outlay, scripts
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place
from steadyd.runner.install import Installed, Installer
from steadyd.runner.lockfile import LOCK, SCRIPTED
from steadyd.runner.modules import Modules, modules_path
from steadyd.runner.tool import Tools
from tests.npm import Npm, Rerouted, needs_openssl, npm
from tests.runner.conftest import AS_ROOT, UID, run, tree, world

pytestmark = [needs_openssl, pytest.mark.sandbox]

STAGES = ("preinstall", "install", "postinstall", "prepare")
PAD = {"pad": "1"}
TOUCH = "touch made-by-$npm_lifecycle_event"


class Host:
    """An installer, a registry of our own, and apps."""

    def __init__(self, root: Path, bun: Engine, there: Npm) -> None:
        self.root, self.npm = root, there
        tools = Tools(bun, sandboxed=True)
        self._installer = Installer(tools, Rerouted(root, there), Modules(root / "modules", root / "apps"))

    def place(self, name: str = "app") -> Place:
        (self.root / "apps").mkdir(mode=0o711, exist_ok=True)
        return Place(self.root / "apps" / name, UID)

    async def install(self, files: dict[str, bytes], name: str = "app", tell: list[str] | None = None) -> Installed:
        told = [] if tell is None else tell
        return await self._installer.install(self.place(name), files, tell=told.append)

    async def restore(self, files: dict[str, bytes], key: str) -> None:
        await self._installer.restore(self.place(), files, key)

    async def failure(self, files: dict[str, bytes]) -> SteadyError:
        with pytest.raises(SteadyError) as caught:
            await self.install(files)
        assert os.listdir(self.place().scratch) == []
        assert not list(self.root.glob("modules/*"))
        return caught.value

    def made(self, installed: Installed, package: str, name: str = "app") -> list[str]:
        """What is in a package's folder besides what it was published with."""
        found = modules_path(self.place(name), installed.modules) / package
        return sorted(set(os.listdir(found)) - {"package.json", "index.js"})


def commands() -> bytes:
    """The command lines of everything that runs on this host (proc(5))."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += path.read_bytes()
    return found


Body = Callable[[Host], Coroutine[Any, Any, None]]


@pytest.fixture
def host(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[[Body], None]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Host]:
        async with npm(root, monkeypatch) as there:
            yield Host(root, bun, there)

    async def within(body: Body) -> None:
        async with opened() as made:
            await body(made)

    return lambda body: run(within(body))


def app(trusted: object, dependencies: Mapping[str, str], lock: bytes | None = None) -> dict[str, bytes]:
    """With scripts of its own, which must not run."""
    own = dict.fromkeys(STAGES, "touch /app/node_modules/pad/own")
    package = {"name": "app", "dependencies": dependencies, "trustedDependencies": trusted, "scripts": own}
    return {**tree({"index.ts": "", "package.json": json.dumps(package)}), **({LOCK: lock} if lock else {})}


def test_scripts_run_of_what_is_listed_and_of_nothing_else(host: Callable[[Body], None]) -> None:
    """Not of the app, though it lists itself, nor of what Bun trusts on its own."""

    async def body(host: Host) -> None:
        everything = dict.fromkeys(STAGES, TOUCH)
        for name in ("pad", "esbuild", "@scope/inner"):
            host.npm.publish(name, "1.0.0", scripts=everything)
        host.npm.publish("quiet", "1.0.0")
        wanted = {"pad": "1", "esbuild": "1", "quiet": "1", "@scope/inner": "1"}
        told: list[str] = []
        made = await host.install(app(["@scope/inner", "app", "pad", "quiet"], wanted), tell=told)
        stages = ["made-by-install", "made-by-postinstall", "made-by-preinstall"]
        assert [host.made(made, name) for name in ("pad", "@scope/inner", "esbuild")] == [stages, stages, []]
        assert made.notes == ("Scripts ran of @scope/inner, pad.",)
        assert told[-1] == "Running scripts of @scope/inner, pad, quiet."
        none = await host.install(app([], wanted))
        assert [host.made(none, name) for name in ("pad", "@scope/inner", "esbuild")] == [[], [], []]
        assert none.notes == ()

    host(body)


def test_who_does_not_trust_shares_no_set_of_who_does(host: Callable[[Body], None]) -> None:
    async def body(host: Host) -> None:
        host.npm.publish("pad", "1.0.0", scripts={"install": TOUCH})
        one = await host.install(app(["pad"], PAD), "one")
        other = await host.install(app([], PAD, one.lock), "other")
        same = await host.install(app(["pad", "absent"], PAD, one.lock), "same")
        absent = await host.install(app(["absent"], PAD, one.lock), "absent")
        assert same.modules == one.modules
        assert absent.modules == other.modules != one.modules
        assert (one.modules.endswith(SCRIPTED), other.modules.endswith(SCRIPTED)) == (True, False)
        assert (host.made(one, "pad", "one"), host.made(other, "pad", "other")) == (["made-by-install"], [])
        assert same.notes == (), "they ran before"

    host(body)


def test_what_a_script_made_is_sealed(host: Callable[[Body], None]) -> None:
    async def body(host: Host) -> None:
        script = "mkdir -m 700 d && touch d/f && chmod 4777 d/f && mkfifo pipe && ln -s /etc/passwd out && chmod 000 d"
        host.npm.publish("pad", "1.0.0", scripts={"postinstall": script})
        made = await host.install(app(["pad"], PAD))
        assert host.made(made, "pad") == ["d", "out"]
        folder = modules_path(host.place(), made.modules) / "pad"
        file, above = (folder / "d" / "f").stat(), (folder / "d").stat()
        assert (stat.S_IMODE(file.st_mode), stat.S_IMODE(above.st_mode)) == (0o555, 0o755)
        assert {file.st_uid, above.st_uid, folder.stat().st_uid} == {0 if AS_ROOT else os.getuid()}
        assert (folder / "out").is_symlink()

    host(body)


def test_what_others_need_is_ready_when_theirs_run(host: Callable[[Body], None]) -> None:
    """Programs of packages are on the path, and `node` is Bun."""

    async def body(host: Host) -> None:
        host.npm.publish("zeta", "1.0.0", scripts={"postinstall": "echo ready > ready"})
        host.npm.publish("middle", "1.0.0", needs={"zeta": "1"})
        reads = "cat ../zeta/ready > seen && node -p process.versions.bun >> seen && echo $npm_package_version >> seen"
        host.npm.publish("alpha", "1.0.0", needs={"middle": "1"}, scripts={"install": reads})
        made = await host.install(app(["alpha", "zeta"], {"alpha": "1"}))
        lines = (modules_path(host.place(), made.modules) / "alpha" / "seen").read_text().split()
        assert (lines[0], lines[1][:2], lines[2]) == ("ready", "1.", "1.0.0")

    host(body)


LOOKS = """
const { connect } = require("node:net"), fs = require("node:fs"), found = {};
const can = (what) => { try { what(); return true; } catch { return false; } };
for (const path of %s) found[path] = can(() => fs.readdirSync(path)) || can(() => fs.readFileSync(path));
for (const path of ["/app/x", "/app/bun.lock", "/app/package.json", "/usr/x", "/steady/x", "/cache/x", "/registry/x"])
  found[path] = can(() => fs.writeFileSync(path, ""));
found.moved = can(() => fs.renameSync("/app/node_modules", "/app/other"));
found.environ = Object.keys(process.env).filter((name) => name.startsWith("STEADY"));
const dialled = (to) => new Promise((done) => {
  const socket = connect(to, () => done(true)); socket.on("error", () => done(false)); });
const asked = (host) => new Promise((done) => {
  const socket = connect("/registry/socket", () => socket.write(`CONNECT ${host} HTTP/1.1\\r\\n\\r\\n`));
  socket.on("data", (data) => done(String(data).split(" ")[1])); socket.on("error", () => done("error")); });
(async () => {
  found.loopback = await dialled({ host: "127.0.0.1", port: %d });
  found.internet = await dialled({ host: "1.1.1.1", port: 443 });
  found.elsewhere = await asked("127.0.0.1:%d");
  found.registry = await asked("registry.npmjs.org:443");
  fs.writeFileSync("found.json", JSON.stringify(found));
  process.exit(0);
})();
"""


def test_a_script_sees_the_build_sandbox_and_less(host: Callable[[Body], None]) -> None:
    async def body(host: Host) -> None:
        (host.root / "secret").write_text("secret")
        with socket.create_server(("127.0.0.1", 0)) as trap:
            port = trap.getsockname()[1]
            hidden = [str(host.root), str(host.root / "secret"), "/root", "/var", "/proc/1/root/root", "/cache"]
            host.npm.publish("pad", "1.0.0", LOOKS % (json.dumps(hidden), port, port), scripts={"install": "node ."})
            made = await host.install(app(["pad"], PAD))
            found = json.loads((modules_path(host.place(), made.modules) / "pad" / "found.json").read_text())
            assert (found.pop("elsewhere"), found.pop("registry"), found.pop("environ")) == ("403", "200", [])
            assert {what for what, could in found.items() if could} == set()
            trap.setblocking(False)
            with pytest.raises(BlockingIOError):
                trap.accept()

    host(body)


def test_one_that_fails_is_named_with_what_it_said(host: Callable[[Body], None]) -> None:
    async def body(host: Host) -> None:
        host.npm.publish("pad", "1.0.0", scripts={"preinstall": "echo before", "postinstall": "echo why >&2; exit 7"})
        error = await host.failure(app(["pad"], PAD))
        assert (error.code, error.details["step"], error.details["cause"]) == (
            "deploy_failed", "install", "script_failed",
        )  # fmt: skip
        assert error.details["package"] == "pad"
        assert "“pad” ended with exit code 7" in error.details["reason"]
        assert error.details["logs"] == [
            "pad preinstall: echo before", "before", "pad postinstall: echo why >&2; exit 7", "why",
        ]  # fmt: skip
        assert (await host.install(app([], PAD))).notes == ()

    host(body)


def test_all_scripts_together_have_so_much_time(host: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "SCRIPTS_SECONDS_MAX", 2.0)

    async def body(host: Host) -> None:
        host.npm.publish("quick", "1.0.0", scripts={"install": "echo quick"})
        host.npm.publish("slow", "1.0.0", scripts={"install": "echo begun; trap '' TERM; sleep 600"})
        error = await host.failure(app(["quick", "slow"], {"quick": "1", "slow": "1"}))
        assert (error.details["cause"], error.details["package"]) == ("timeout", "slow")
        assert error.details["logs"][-1] == "begun"

    host(body)


def test_what_a_script_leaves_running_ends_with_it(host: Callable[[Body], None]) -> None:
    """And what one says is bounded."""

    async def body(host: Host) -> None:
        left = "sleep 86399.25"
        host.npm.publish("pad", "1.0.0", scripts={"install": f"{left} & head -c 5000000 /dev/zero"})
        made = await host.install(app(["pad"], PAD))
        assert made.notes == ("Scripts ran of pad.",)
        assert left.replace(" ", "\0").encode() not in commands()

    host(body)


def test_what_scripts_put_on_the_disk_counts(host: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlay, "INSTALL_BYTES_MAX", 4 << 20)

    async def body(host: Host) -> None:
        fills = "mkdir closed && head -c 8000000 /dev/zero > closed/much"
        host.npm.publish("pad", "1.0.0", scripts={"install": fills})
        error = await host.failure(app(["pad"], PAD))
        assert (error.code, error.details["step"]) == ("too_large", "install")

    host(body)


def test_folders_deeper_than_a_path_are_refused(host: Callable[[Body], None]) -> None:
    async def body(host: Host) -> None:
        name = "d" * 200
        deep = f"for i in $(seq 40); do mkdir {name}; cd {name}; done"
        host.npm.publish("pad", "1.0.0", scripts={"install": deep})
        error = await host.failure(app(["pad"], PAD))
        assert (error.details["cause"], error.details["step"]) == ("script_failed", "install")

    host(body)


def test_a_lost_set_comes_back_as_its_key_says(host: Callable[[Body], None]) -> None:
    """Without the registry; one from before there were scripts gets none, whatever its package.json lists."""

    async def body(host: Host) -> None:
        host.npm.publish("pad", "1.0.0", scripts={"install": TOUCH})
        one = await host.install(app(["pad"], PAD))
        host.npm.away = True
        again = await host.install(app(["pad"], PAD, one.lock))
        assert (again.modules, again.notes) == (one.modules, ())
        for key, made in ((one.modules, ["made-by-install"]), ("older", [])):
            shutil.rmtree(host.root / "modules", ignore_errors=True)
            await host.restore(app(["pad"], PAD, one.lock), key)
            assert host.made(Installed(key), "pad") == made

    host(body)


@pytest.mark.parametrize("sandboxed", [True, False])
def test_an_app_finds_what_a_script_made_whatever_became_of_the_registry(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch, sandboxed: bool
) -> None:
    """Deployed, started again, deployed anew and gone back to."""
    source = 'import made from "pad/made.json"; export default { fetch: () => new Response("NUMBER " + made) };'

    def version(number: str) -> dict[str, str]:
        package = {"dependencies": PAD, "trustedDependencies": ["pad"]}
        return {"index.ts": source.replace("NUMBER", number), "package.json": json.dumps(package)}

    async def body() -> None:
        async with npm(root, monkeypatch) as there:
            there.publish("pad", "1.0.0", scripts={"postinstall": "echo 7 > made.json"})
            registry = Rerouted(root, there)
            async with world(root, bun, sandboxed, registry=registry) as made:
                first = await made.create(version("one"))
                assert (await made.ask(), first.notes) == ("one 7", ("Scripts ran of pad.",))
            there.away = True
            async with world(root, bun, sandboxed, registry=registry) as made:
                assert await made.ask() == "one 7"
                second = await made.deploy(version("two"))
                assert (await made.ask(), second.notes) == ("two 7", ())
                await made.deployer.rollback(await made.operator(), await made.app(), 1)
                assert await made.ask() == "one 7"
                no_more = {**version("three"), "package.json": json.dumps({"dependencies": PAD})}
                with pytest.raises(SteadyError):
                    await made.deploy(no_more)
                assert await made.ask() == "one 7"

    run(body())
