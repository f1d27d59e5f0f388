from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.backup.registrar import Registrar
from steadyd.backup.stream import Stream
from steadyd.backup.wire import Refused
from tests.backup.replicas import replicas, write
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
