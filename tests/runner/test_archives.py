"""An app as one file on its way out: what is in it, and what is left behind of the copy."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from steadyd.appfile import AppFile, Manifest
from steadyd.errors import SteadyError
from steadyd.moment import Mark
from steadyd.runner import archives
from steadyd.runner.copies import Snapshot
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place
from steadyd.runner.forks import Past
from steadyd.tree import DEFAULT_LIMITS
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, run, world


async def read(here: World, data: bool, past: Past | None = None) -> tuple[Manifest, dict[str, bytes]]:
    async with here.workshop.archives.of(await here.operator(), await here.app(), data, past) as (_, pieces):
        file = AppFile(io.BytesIO(b"".join([piece async for piece in pieces])), DEFAULT_LIMITS)
    return file.manifest, {entry.path: b"".join(content) for entry, content in file.contents()}


@BOTH
def test_everything_is_in_it_once(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create({"index.ts": COUNTER, "same.txt": "same"})
            await here.deploy({"index.ts": COUNTER, "copy.txt": "same"})
            await here.ask(method="POST")
            manifest, contents = await read(here, data=True)
            assert [version.version for version in manifest.versions] == [1, 2]
            assert manifest.live == 2
            assert len(manifest.contents) == 2
            assert [path for path in contents if path.startswith("data/")] == ["data/data.sqlite"]
            assert manifest.data is not None
            assert manifest.data.files[0].at is not None
            bare, contents = await read(here, data=False)
            assert bare.data is None
            assert all(path.startswith("contents/") for path in contents)
            operations = [one.kind for one in await here.journal.operations((await here.app()).id)]
            assert operations.count("archive") == 1
            assert list(here.fleet.ground.place(await here.app()).scratch.iterdir()) == []

    run(body())


def test_one_of_an_app_is_sent_at_a_time(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            await here.create(HELLO, name="other")
            by, app, other = await here.operator(), await here.app(), await here.app("other")
            async with here.workshop.archives.of(by, app, data=True):
                with pytest.raises(SteadyError) as caught:
                    async with here.workshop.archives.of(by, app, data=True):
                        pass
                assert caught.value.code == "overloaded"
                async with here.workshop.archives.of(by, app, data=False), here.workshop.archives.of(by, other, True):
                    pass
                monkeypatch.setattr(archives, "ARCHIVES_MAX", 1)
                with pytest.raises(SteadyError, match="1 of other apps"):
                    async with here.workshop.archives.of(by, other, data=True):
                        pass
            async with here.workshop.archives.of(by, app, data=True):
                pass

    run(body())


def test_names_that_are_no_text_are_told_and_left_out(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            place = here.fleet.ground.place(await here.app())
            for name in (b"fine.txt", b"broken-\xff.txt", b"deep\xff/inner.txt", "ä\n.txt".encode()):
                path = place.app / os.fsdecode(name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"mine")
                os.chown(path, place.uid or -1, -1)
            manifest, contents = await read(here, data=True)
            assert [path for path in contents if path.startswith("data/")] == ["data/fine.txt", "data/ä\n.txt"]
            assert manifest.data is not None
            assert len(manifest.data.left_out) == 2

    run(body())


@dataclass
class Many:
    """A moment of which much is missing."""

    version: int
    mark: Mark

    async def put_into(self, place: Place) -> Snapshot:
        place.app.mkdir(parents=True)
        (place.app / "then.txt").write_text("then")
        return Snapshot(self.mark.at, 4, left_out={f"pipe-{n}": "a pipe" for n in range(archives.LEFT_OUT_MAX + 5)})


def test_an_earlier_moment_has_the_version_of_then(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            await here.deploy(COUNTER)
            await here.ask(method="POST")
            manifest, contents = await read(here, data=True, past=Many(1, Mark(1_000.0)))
            assert (manifest.live, contents["data/then.txt"]) == (1, b"then")
            assert manifest.data is not None
            assert manifest.data.at.timestamp() == 1_000.0
            assert len(manifest.data.left_out) == archives.LEFT_OUT_MAX

    run(body())


def test_a_killed_daemon_s_copies_go_with_the_next_start(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            left = here.fleet.ground.place(await here.app()).scratch / "archive-abc"
            left.mkdir(parents=True)
        async with world(root, bun, sandboxed=False):
            assert not left.exists()

    run(body())
