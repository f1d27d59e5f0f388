"""What the bundler says: what would not start; what may become bytecode, that it cannot be told from the source, and
that it is never in the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import bundle
from steadyd.runner.bundle import FILES, WHY, bundle_path, find_bundle
from steadyd.runner.deploy import Manner
from steadyd.runner.engine import Engine
from tests.runner.conftest import HELLO, World, exchange, run, world

pytestmark = pytest.mark.sandbox

PAD = "export const pad = [\n" + '  "something to read at each start",\n' * 2500 + "];\n"
"""Large enough for a bundle to be worth it."""
SOURCE = """
import { pad } from "./lib/pad";
import note from "./note.txt" with { type: "text" };

class Kept {}

export default {
  fetch(request: Request) {
    if (request.url.endsWith("/throw")) throw new TypeError("in a handler");
    const seen = {
      dir: import.meta.dir, dirname: import.meta.dirname, path: import.meta.path, url: import.meta.url,
      file: import.meta.file, main: import.meta.main, argv: process.argv.slice(1), cwd: process.cwd(),
      strict: (function (this: unknown) { return this === undefined; })(), note, name: Kept.name,
      mode: process.env.NODE_ENV, pads: pad.length, env: Object.keys(process.env).sort(),
    };
    return Response.json({ ...seen, stack: new Error("here").stack });
  },
};
"""
FILES_OF_APP = {"index.ts": SOURCE, "lib/pad.ts": PAD, "note.txt": "hello"}


async def bundle_of(made: World, name: str = "hello") -> Path | None:
    app = await made.app(name)
    version = await made.versions.one(app.id, app.version)
    assert version is not None
    return find_bundle(made.fleet.ground.place(app), version, made.tools.engine)


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


async def declined(made: World) -> str:
    """Why the live version runs from source."""
    app = await made.app()
    version = await made.versions.one(app.id, app.version)
    assert version is not None
    path = bundle_path(made.fleet.ground.place(app), version, made.tools.engine)
    return (path / WHY).read_text()


def test_a_bundle_cannot_be_told_from_the_source(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as made:
            await made.create(FILES_OF_APP)
            bundled = await bundle_of(made)
            assert bundled is not None
            compiled = json.loads(await made.ask())
            assert (bundled / "index.js").read_bytes().startswith(b"// @bun @bytecode")
            await made.create(FILES_OF_APP, "plain", manner=Manner(trial=False))
            assert await bundle_of(made, "plain") is None
            plain = json.loads(await made.ask(name="plain"))
            assert compiled == plain
            assert "/app/index.ts:16:" in plain["stack"]

    run(body())


def test_what_it_throws_names_the_line_of_the_source(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as made:
            created = await made.create(FILES_OF_APP)
            assert await bundle_of(made) is not None
            with pytest.raises(AssertionError):
                await made.ask("/throw")
            await made.logs.flush()
            lines = [line.text for line in await made.logs.tail(created.app.id, 50)]
            assert any("/app/index.ts:9:" in line for line in lines), lines

    run(body())


def test_a_failing_start_is_told_from_the_source(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as made:
            await made.create(FILES_OF_APP)
            broken = SOURCE.replace("class Kept {}", 'class Kept {}\nthrow new Error("at the top");')
            with pytest.raises(SteadyError) as caught:
                await made.deploy({**FILES_OF_APP, "index.ts": broken})
            assert (caught.value.details["file"], caught.value.details["line"]) == ("index.ts", 6)

    run(body())


TELLING: Mapping[str, Mapping[str, str]] = {
    "small": {"lib/pad.ts": "export const pad = [1];"},
    "bunfig.toml": {"bunfig.toml": "telemetry = false\n"},
    "side effects": {"package.json": '{"sideEffects": false}'},
    "not a string literal": {"index.ts": SOURCE + 'const at = "./lib/pad"; export const lazy = () => import(at);'},
    "only be used inside": {"index.ts": "await Promise.resolve();\n" + SOURCE},
    "import.meta is left": {"index.ts": SOURCE + "export const where = () => import.meta.filename;"},
    "more than one file": {"index.ts": 'import x from "./x.bin";\n' + SOURCE + "export const y = x;", "x.bin": "\0"},
    "Bun.main": {"index.ts": SOURCE + "export const where = () => Bun.main;"},
    "new Worker": {"index.ts": SOURCE + 'export const work = () => new Worker("./lib/pad.ts");'},
    "eval(": {"index.ts": SOURCE + 'export const odd = () => eval("pad");'},
    "not strict": {"index.ts": 'import "./old.cjs";\n' + SOURCE, "old.cjs": "exports.a = 1;"},
    "a package is missing": {"index.ts": SOURCE + 'try { require("./gone"); } catch {}'},
    "is left": {"index.ts": SOURCE + 'import("./generated.ts").catch(() => {});'},
    "Kept2": {"index.ts": 'import { Kept as K } from "./lib/kept";\n' + SOURCE + "export const k = K;",
              "lib/kept.ts": "export class Kept { a = 1 }"},
}  # fmt: skip


@pytest.mark.parametrize("why", TELLING)
def test_what_could_be_told_apart_runs_from_source(root: Path, bun: Engine, why: str) -> None:
    async def body() -> None:
        async with world(root, bun) as made:
            await made.create({**FILES_OF_APP, **TELLING[why]})
            assert await bundle_of(made) is None
            assert why in await declined(made)
            assert json.loads(await made.ask())["dir"] == "/app"

    run(body())


def test_a_bundle_that_fails_its_trial_is_given_up_for_the_source(root: Path, bun: Engine) -> None:
    async def body() -> None:
        source = SOURCE + 'if (!Bun["main"].endsWith("index.ts")) throw new Error("I am a bundle");'
        async with world(root, bun) as made:
            await made.create({**FILES_OF_APP, "index.ts": source})
            assert "I am a bundle" in await declined(made)
            assert json.loads(await made.ask())["strict"]

    run(body())


def test_a_bundle_that_is_lost_is_missed_by_nobody_and_made_again(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as made:
            created = await made.create(FILES_OF_APP)
            bundled = await bundle_of(made)
            assert bundled is not None
            shutil.rmtree(bundled.parent)
        async with world(root, bun) as made:
            assert json.loads(await made.ask())["dir"] == "/app"
            assert await bundle_of(made) is None
            await made.deployer.rollback(await made.operator(), await made.app(), created.version.number)
            assert await bundle_of(made) == bundled

    run(body())


def test_a_macro_runs_where_the_build_does(root: Path, bun: Engine) -> None:
    async def body() -> None:
        macro = "export const built = () => JSON.stringify([Object.keys(process.env).sort(), process.cwd()]);"
        source = 'import { built } from "./macro" with { type: "macro" };\n' + SOURCE.replace(
            "note,", "note, built: built(),"
        )
        async with world(root, bun) as made:
            await made.create({**FILES_OF_APP, "index.ts": source, "macro.ts": macro})
            assert await bundle_of(made) is not None
            names, cwd = json.loads(json.loads(await made.ask())["built"])
            assert cwd == "/app"
            assert set(names) <= {*bundle.ENVIRON, "NODE_ENV", "PWD"}

    run(body())


def test_what_a_build_leaves_is_bounded_and_no_link_is_followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, secret = root / "out", root / "secret"
    made.mkdir()
    secret.write_text("secret")
    monkeypatch.setattr(bundle, "BUNDLE_FILE_BYTES_MAX", 4)
    for name in FILES:
        (made / name).write_bytes(b"1234")
    bundle._keep(made, root / "bundles" / "fine", "")
    assert sorted(path.name for path in (root / "bundles" / "fine").iterdir()) == sorted(FILES)
    (made / FILES[0]).write_bytes(b"12345")
    bundle._keep(made, root / "bundles" / "large", "")
    (made / FILES[0]).unlink()
    (made / FILES[0]).symlink_to(secret)
    bundle._keep(made, root / "bundles" / "link", "")
    for key in ("large", "link"):
        assert [path.name for path in (root / "bundles" / key).iterdir()] == [WHY]


def test_a_build_that_takes_too_long_is_given_up(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "BUNDLE_SECONDS_MAX", 0.5)

    async def body() -> None:
        macro = 'export const built = () => { while (!process.env.STEADY_APP); return "at last"; };'
        source = 'import { built } from "./macro" with { type: "macro" };\n' + SOURCE.replace("note,", "note: built(),")
        async with world(root, bun) as made:
            await made.create({**FILES_OF_APP, "index.ts": source, "macro.ts": macro})
            assert await declined(made) == "signal SIGKILL"
            assert json.loads(await made.ask())["note"] == "at last"

    run(body())


def test_a_bundle_is_for_production_only(root: Path, bun: Engine) -> None:
    """NODE_ENV is a part of it."""

    async def body() -> None:
        async with world(root, bun) as made:
            await made.create(FILES_OF_APP)
            app = await made.app()
            version = await made.versions.one(app.id, app.version)
            assert version is not None
            ground = made.fleet.ground
            for mode, main in [("production", "/bundle/index.js"), ("development", "/app/index.ts")]:
                plan = await ground.plan(app, version)
                instance = await ground.starter.start(replace(plan, environ={**plan.environ, "NODE_ENV": mode}), 10)
                status, body = await exchange(instance.address)
                assert (status, json.loads(body)["mode"]) == (200, mode)
                assert words_of(instance.process.group)[-1] == main
                instance.process.kill()
                await instance.gone()

    run(body())


# ------------------------------------------------------------------------------------------------- the check

FETCH = "export default { fetch: () => new Response(`${x}`) };\n"
FAULTS = {
    "the entry does not parse": ({"index.ts": "const x = (1;\n" + FETCH}, "index.ts", 1, 13, "const x = (1;"),
    "another file does not": (
        {"index.ts": 'import { x } from "./lib/x";\n' + FETCH, "lib/x.ts": "\nexport const x = ;\n"},
        "lib/x.ts", 2, 18, "export const x = ;",
    ),
    "a file is missing": (
        {"index.ts": '\nimport { x } from "./lib";\n' + FETCH}, "index.ts", 2, 19, 'import { x } from "./lib";'
    ),
    "an export is missing": (
        {"index.ts": 'import { x } from "./lib";\n' + FETCH, "lib.ts": "export const y = 1;"},
        "index.ts", 1, 10, 'import { x } from "./lib";',
    ),
    "behind what is only missed later": (
        {"index.ts": 'import "./x";\nexport const later = () => import("./later");\n' + FETCH, "x.ts": "let x = (1;"},
        "x.ts", 1, 11, "let x = (1;",
    ),
}  # fmt: skip


@pytest.mark.parametrize("sandboxed", [True, False])
@pytest.mark.parametrize("kind", FAULTS)
def test_what_would_not_start_is_told_with_its_place(root: Path, bun: Engine, kind: str, sandboxed: bool) -> None:
    files, file, line, column, source_line = FAULTS[kind]

    async def body() -> None:
        async with world(root, bun, sandboxed) as made:
            with pytest.raises(SteadyError) as caught:
                await made.create(files)
            details = caught.value.details
            place = details["file"], details["line"], details["source_line"]
            assert (details["step"], place) == ("check", (file, line, source_line))
            assert abs(details["column"] - column) <= 3, details["column"]
            assert details["reason"].startswith(f"{file}:{line}:")
            assert details["reason"] in details["logs"]

    run(body())


@pytest.mark.parametrize("path", ["lib/{id}.ts", "--help.ts", "a b/{engine.__class__}.ts", "[...x].tsx"])
def test_odd_names_are_names(root: Path, bun: Engine, path: str) -> None:
    async def body() -> None:
        async with world(root, bun) as made:
            imported = {"index.ts": f"import {{ x }} from './{path}';\n{FETCH}"}
            for entry in (imported, {"package.json": f'{{"main": "{path}"}}'}):
                with pytest.raises(SteadyError) as caught:
                    await made.create({**entry, path: "const = 1;"})
                assert (caught.value.details["step"], caught.value.details["file"]) == ("check", path)

    run(body())


def test_what_a_start_does_not_reach_is_not_judged(root: Path, bun: Engine) -> None:
    """Only what fails at the start stops a deploy: everything that Bun can serve goes live."""
    source = """
    try { require("./gone") } catch {}
    export const later = () => import("./broken");
    export const never = () => [import("./missing"), require("./missing-too")];
    """
    files = {
        "index.ts": source + HELLO,
        "broken.ts": "const x = (1;",
        "other.ts": "another ( mistake",
        "tests/a.test.ts": 'import "./nothing";',
        "types.ts": "const wrong: number = 'text'; export type T = number;",
    }

    async def body() -> None:
        async with world(root, bun) as made:
            await made.create(files)
            assert await made.ask() == "hello"
            typed = 'import { type T } from "./types"; const x: T = "text";\n' + FETCH
            await made.deploy({**files, "index.ts": typed})
            assert await made.ask() == "text", "types are not checked"
            await made.deploy({**files, "bunfig.toml": 'preload = ["./plugin.ts"]\n', "plugin.ts": ""})

    run(body())


def test_a_version_may_import_what_the_app_has_written(root: Path, bun: Engine) -> None:
    writes = 'await Bun.write("state/made.json", JSON.stringify({ x: "written" }));\n' + HELLO
    reads = 'import { x } from "./state/made.json";\n' + FETCH

    async def body() -> None:
        async with world(root, bun) as made:
            with pytest.raises(SteadyError):
                await made.create(reads)
            await made.create(writes)
            assert await made.ask() == "hello"
            await made.deploy(reads)
            assert await made.ask() == "written"
            outside = 'import { x } from "../../etc/passwd";\n' + FETCH
            with pytest.raises(SteadyError) as caught:
                await made.deploy(outside)
            assert caught.value.details["step"] == "check"

    run(body())


def test_a_deploy_without_a_trial_is_checked_too(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as made:
            with pytest.raises(SteadyError) as caught:
                await made.create("const x = ;", manner=Manner(trial=False))
            assert caught.value.details["step"] == "check"

    run(body())


def test_many_mistakes_are_told_up_to_a_limit() -> None:
    """What is told was said in a sandbox that also ran the app's macros."""
    said = [{"message": "m" * 5000, "file": ["no"], "line": "x", "source_line": None}, None, *[{}] * 50]
    found = bundle.read_faults(said)
    assert len(found) == bundle.FAULTS_MAX
    assert (len(found[0].message), found[0].line, found[1].file) == (bundle.TEXT_CHARS_MAX, 1, "")
    assert bundle.read_faults("many") == ()
