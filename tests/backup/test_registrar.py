from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from steadyd.backup.registrar import BACKLOG_BYTES_MAX, BACKLOG_FILES_MAX, Registrar
from steadyd.backup.stream import Stream
from steadyd.backup.wire import Refused
from tests.backup.replicas import opened, replicas, write
from tests.runner.conftest import root, run

__all__ = ["root"]


def test_it_is_registered_once_and_says_why_where_it_cannot_be(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            registrar, stream = Registrar(app_id, here.place(app_id), here.means), Stream("a.db")
            assert (await registrar.sync(stream, 5.0)).txid == 1
            assert registrar.has(stream)
            await registrar.unregister(stream)
            assert await here.litestream.wire.registered() == []
            for name in ("a#b.db", "a?b.db", "a%41b.db"):
                write(folder / name)
                with pytest.raises(Refused, match="another name"):
                    await registrar.sync(Stream(name), 5.0)
            assert not [file for file in ("a", "aAb.db") if (folder / file).exists()], "no other file was made"
            for path, why in (("gone/b.db", "No such file"), ("\udcff.db", "UTF-8")):
                with pytest.raises(Refused, match=why):
                    await registrar.sync(Stream(path), 5.0)

    run(body())


def test_what_waits_for_the_replica_is_given_up_and_the_next_line_has_all(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            registrar, stream = Registrar(app_id, here.place(app_id), here.means), Stream("a.db")
            await registrar.sync(stream, 5.0)
            await registrar.start_over(stream)
            assert stream.line is None
            assert not (folder / ".a.db-litestream").exists()
            await registrar.sync(stream, 5.0)
            assert here.ltx(app_id) == ["1/1", "2/1"]

    run(body())


def test_past_its_bound_a_backlog_is_given_up_and_nothing_live_is_touched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadyd.backup.registrar.BACKLOG_FILES_MAX", 3)

    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            registrar, stream = Registrar(app_id, here.place(app_id), here.means), Stream("a.db")
            stream.txid = (await registrar.sync(stream, 5.0)).txid
            away = root / "replica" / "apps"
            away.rename(root / "aside")
            away.write_text("nobody can write here")
            for files in (1, 2, 3):
                write(folder / "a.db")
                with pytest.raises(Refused):
                    await registrar.sync(stream, 5.0)
                assert (stream.waiting_files, stream.line is not None) == (files, True)
                assert stream.waiting_bytes > 0
            write(folder / "a.db")
            with pytest.raises(Refused):
                await registrar.sync(stream, 5.0)
            assert (stream.waiting_files, stream.line) == (0, None)
            assert "begins again" in stream.problem
            away.unlink()
            (root / "aside").rename(away)
            await registrar.sync(stream, 5.0)
            assert here.ltx(app_id) == ["1/1", "2/1"]
            with closing(opened(folder / "a.db")) as db:
                assert db.execute("SELECT count(*) FROM t").fetchone() == (5,)

    run(body())


def test_so_much_may_wait() -> None:
    assert (BACKLOG_FILES_MAX, BACKLOG_BYTES_MAX) == (20_000, 64 << 20)


def test_a_line_is_no_longer_than_moments_are_reachable(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            registrar, stream = Registrar(app_id, here.place(app_id), here.means), Stream("a.db")
            await registrar.sync(stream, 5.0)
            await registrar.unregister(stream)
            here.days = 1e-9
            registrar = Registrar(app_id, here.place(app_id), here.means)
            await registrar.sync(stream, 5.0)
            assert here.ltx(app_id) == ["1/1", "2/1"]
            ended = [line.ended_at is not None for line in await here.library.lines.of(app_id)]
            assert ended == [True, False]

    run(body())
