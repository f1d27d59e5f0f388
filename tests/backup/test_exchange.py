from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steadyd.backup.exchange import NOTE, Exchange, operation_of, put_back, settle
from steadyd.runner.folder import Place


async def nobody_follows() -> None:
    pass


def two(root: Path) -> Exchange:
    """A folder that says live, and another that says other."""
    place, scratch = Place(root / "a", None), Place(root / "a" / "scratch" / "restore-1", None)
    for folder, word in ((place.app, "live"), (scratch.app, "other")):
        folder.mkdir(parents=True)
        (folder / "word").write_text(word)
    return Exchange(place, scratch, 7, nobody_follows)


def words(exchange: Exchange) -> tuple[str, str]:
    return (exchange.place.app / "word").read_text(), (exchange.scratch.app / "word").read_text()


def test_they_change_places_and_back_however_often_it_is_said(tmp_path: Path) -> None:
    async def body() -> None:
        exchange = two(tmp_path)
        await exchange.put_back()
        assert words(exchange) == ("live", "other")
        for _ in range(2):
            await exchange.put_in()
            assert words(exchange) == ("other", "live")
        for _ in range(2):
            await exchange.put_back()
            assert words(exchange) == ("live", "other")
        assert not (exchange.place.root / NOTE).exists()
        await exchange.put_in()
        await exchange.done()
        await exchange.done()
        await exchange.put_back()
        assert words(exchange) == ("other", "live")

    asyncio.run(body())


def test_who_follows_the_databases_lets_go_first_and_may_refuse(tmp_path: Path) -> None:
    async def body() -> None:
        exchange = two(tmp_path)

        async def refuse() -> None:
            raise RuntimeError("not yet")

        refusing = Exchange(exchange.place, exchange.scratch, 7, refuse)
        with pytest.raises(RuntimeError):
            await refusing.put_in()
        assert words(exchange) == ("live", "other")
        assert operation_of(exchange.place) is None

    asyncio.run(body())


@pytest.mark.parametrize("swapped", [True, False])
@pytest.mark.parametrize("committed", [True, False])
def test_after_a_crash_the_journal_decides(tmp_path: Path, swapped: bool, committed: bool) -> None:
    exchange = two(tmp_path)
    asyncio.run(exchange.put_in())
    if not swapped:  # the note was written, the folders had not changed places
        note = (exchange.place.root / NOTE).read_bytes()
        put_back(exchange.place)
        (exchange.place.root / NOTE).write_bytes(note)
    assert operation_of(exchange.place) == 7
    settle(exchange.place, committed)
    assert words(exchange) == (("other", "live") if swapped and committed else ("live", "other"))
    assert operation_of(exchange.place) is None
    settle(exchange.place, committed)
