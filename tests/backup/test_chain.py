"""Databases brought back from what a real Litestream wrote: exactly the moment that was asked for, or told why not."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steadyd.backup import chain as module
from steadyd.backup import ltx
from steadyd.backup.chain import RESTORES_AT_ONCE_MAX, Chain
from steadyd.backup.objects import Objects
from steadyd.backup.target import Target, TargetKind
from steadyd.errors import SteadyError
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place
from steadyd.runner.tool import Tools
from steadyd.runner.trash import Trash
from tests.backup.writer import Writer, rows, writer
from tests.objectstore import ObjectStore
from tests.runner.conftest import BOTH, UID, limits, needs_cgroups, run
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root


@pytest.fixture(scope="module")
def written() -> Iterator[Writer]:
    """A line with transactions merged up to some, and single up to the end; nothing is lost, and nothing goes on."""
    with tempfile.TemporaryDirectory() as folder:
        with writer(Path(folder)) as found:
            found.write(3)
            found.until(lambda: len(found.level(1)) >= 2)
            for _ in range(3):
                found.write(2)
        yield found


@pytest.fixture(scope="module")
def merged() -> Iterator[Writer]:
    """The same, where level 0 has gone as far as it is merged."""
    with tempfile.TemporaryDirectory() as folder:
        with writer(Path(folder), retention="1s", check="200ms") as found:
            found.until(lambda: len(found.level(1)) >= 3 and found.level(0)[0] > found.level(1)[1])
        yield found


def chain(target: Target, root: Path, bun: Engine, sandboxed: bool = True) -> Chain:
    return Chain(Objects(target), Tools(bun, sandboxed), Trash(root / "trash"))


@BOTH
def test_every_transaction_comes_back_exactly(written: Writer, root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        found, place = chain(written.target, root, bun, sandboxed), Place(root / "app", UID)
        chosen = [written.history[0], *random.sample(written.history, 4), written.history[-1]]
        for each in chosen:
            target = root / f"restored-{each.txid}"
            restored = await found.restore(written.line, each.txid, target, place)
            assert await asyncio.to_thread(rows, target) == list(range(1, each.rows + 1))
            assert restored.bytes == target.stat().st_size
            assert each.before - 0.001 <= restored.moment.at <= each.after
            assert restored.damaged == ()
            assert not list(place.root.rglob("chain-*"))
            if UID is not None:
                assert target.stat().st_uid == UID

    run(body())


@pytest.mark.sandbox
def test_a_wanted_time_leads_to_the_newest_moment_before_it(written: Writer, root: Path, bun: Engine) -> None:
    async def body() -> None:
        found = chain(written.target, root, bun)
        history = written.history
        for _ in range(50):
            at = random.uniform(history[0].after, history[-1].after)
            choice = await found.choose(written.line, at)
            assert choice is not None
            assert choice.moment.at <= at
            assert choice.next is None or choice.next.at > at
            txid = choice.moment.txid
            assert all(each.txid <= txid for each in history if each.after < at)
            assert all(each.txid > txid for each in history if each.before > at)
        assert await found.choose(written.line, history[0].before - 1) is None
        last = await found.choose(written.line, history[-1].after + 1_000)
        assert last is not None
        assert (last.moment.txid, last.next, last.precision) == (history[-1].txid, None, 0.0)

    run(body())


def test_times_are_those_of_the_files_and_not_of_the_store(written: Writer, root: Path, bun: Engine) -> None:
    """A store says when an object came there: after an outage, or for a copy, that is much later."""

    async def body() -> None:
        found = chain(_copied(written, root), root, bun)
        first = written.history[0]
        for path in (root / "replica").rglob("*.ltx"):
            os.utime(path, (first.after + 9_000, first.after + 9_000))
        for each in random.sample(written.history, 5):
            choice = await found.choose(written.line, each.after)
            assert choice is not None
            assert choice.moment.txid == each.txid
            assert each.before - 0.001 <= choice.moment.at <= each.after
        timeline = await found.timeline(written.line)
        assert timeline.newest is not None
        assert timeline.newest.at <= written.history[-1].after
        for path in (root / "replica").rglob("*.ltx"):
            os.utime(path, (first.before - random.random() * 90, first.before - random.random() * 90))
        for each in random.sample(written.history, 5):
            choice = await found.choose(written.line, each.after)
            assert choice is not None
            assert choice.moment.txid == each.txid

    run(body())


def test_headers_are_read_once_and_few(written: Writer, root: Path, bun: Engine) -> None:
    async def body() -> None:
        objects = Counting(written.target)
        found = Chain(objects, Tools(bun, True), Trash(root / "trash"))
        at = written.history[len(written.history) // 2].after
        await found.choose(written.line, at)
        assert 1 <= objects.read <= 3
        read = objects.read
        await found.choose(written.line, at)
        assert objects.read == read

    run(body())


@pytest.mark.sandbox
def test_of_merged_transactions_the_last_comes_back_and_the_others_are_told_apart_no_more(
    merged: Writer, root: Path, bun: Engine
) -> None:
    async def body() -> None:
        found, place = chain(merged.target, root, bun), Place(root / "app", UID)
        by_txid = {each.txid: each for each in merged.history}
        pieces = await found.pieces(merged.line)
        reachable = ltx.moments(pieces)
        lost = sorted(by_txid.keys() - {moment.txid for moment in reachable})
        assert lost
        for moment in [reachable[0], *random.sample(reachable, 3), reachable[-1]]:
            target = root / f"restored-{moment.txid}"
            await found.restore(merged.line, moment.txid, target, place)
            assert await asyncio.to_thread(rows, target) == list(range(1, by_txid[moment.txid].rows + 1))
        with pytest.raises(SteadyError) as raised:
            await found.restore(merged.line, lost[-1], root / "none", place)
        assert raised.value.code == "not_reachable"
        assert raised.value.details["nearest"]
        assert not (root / "none").exists()
        choice = await found.choose(merged.line, by_txid[lost[-1]].after)
        assert choice is not None
        assert choice.moment.txid < lost[-1]
        assert choice.next is not None
        assert choice.precision == pytest.approx(choice.next.at - choice.moment.at)
        timeline = await found.timeline(merged.line)
        assert timeline.first is not None
        assert timeline.newest is not None
        assert (timeline.first.txid, timeline.newest.txid) == (reachable[0].txid, merged.history[-1].txid)
        assert (timeline.spans[-1].start, timeline.spans[0].end) == (timeline.first.at, timeline.newest.at)

    run(body())


@pytest.mark.sandbox
def test_from_a_bucket_it_comes_back_as_from_a_folder(
    moto: ObjectStore, root: Path, bun: Engine, tmp_path: Path
) -> None:
    with writer(tmp_path, bucket=moto.target("chain")) as found:
        found.write(3)
        for _ in range(5):
            found.write(2)
        found.until(lambda: len(found.history) > 8)

    async def body() -> None:
        chain_, place = chain(found.target, root, bun), Place(root / "app", UID)
        timeline = await chain_.timeline(found.line)
        assert timeline.newest is not None
        assert timeline.newest.txid == found.history[-1].txid
        for each in (found.history[0], found.history[4], found.history[-1]):
            choice = await chain_.choose(found.line, each.after)
            assert choice is not None
            assert choice.moment.txid == each.txid
            target = root / f"restored-{each.txid}"
            restored = await chain_.restore(found.line, each.txid, target, place)
            assert each.before - 0.001 <= restored.moment.at <= each.after
            assert await asyncio.to_thread(rows, target) == list(range(1, each.rows + 1))

    run(body())


HARMS: dict[str, Any] = {
    "deleted": lambda path, content: path.unlink(),
    "emptied": lambda path, content: path.write_bytes(b""),
    "truncated": lambda path, content: path.write_bytes(content[: random.randrange(len(content))]),
    "flipped": lambda path, content: path.write_bytes(_flipped(content)),
    "exchanged": lambda path, content: path.write_bytes(content[:16] + b"\0" * 7 + b"\7" + content[24:]),
}


@pytest.mark.sandbox
@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_object_is_told_each_time_and_nothing_is_written(
    merged: Writer, root: Path, bun: Engine, harm: str
) -> None:
    async def body() -> None:
        target = _copied(merged, root)
        found, place = chain(target, root, bun), Place(root / "app", UID)
        txid = merged.history[-1].txid
        pieces = await found.pieces(merged.line)
        way = ltx.plan(pieces, txid)
        for piece in set(pieces) - set(way):
            (target.path / piece.key).unlink()
        for piece in random.sample(way, 3):
            path = target.path / piece.key
            content = path.read_bytes()
            HARMS[harm](path, content)
            with pytest.raises(SteadyError) as raised:
                await found.restore(merged.line, txid, root / "restored", place)
            assert raised.value.code == "backup_broken"
            said = raised.value.details
            if harm == "deleted":
                assert said["missing"] == [piece.first, piece.last]
            else:
                assert list(said["objects"]) == [piece.key]
            assert not (root / "restored").exists()
            assert not list(place.root.rglob("chain-*"))
            path.unlink(missing_ok=True)
            path.write_bytes(content)
        await found.restore(merged.line, txid, root / "restored", place)

    run(body())


@pytest.mark.sandbox
def test_where_there_is_another_way_it_is_taken_and_the_damage_is_told(
    written: Writer, root: Path, bun: Engine
) -> None:
    async def body() -> None:
        target = _copied(written, root)
        found, place = chain(target, root, bun), Place(root / "app", UID)
        last = written.history[-1]
        piece = ltx.plan(await found.pieces(written.line), last.txid)[0]
        assert piece.level == 1
        path = target.path / piece.key
        path.write_bytes(_flipped(path.read_bytes()))
        restored = await found.restore(written.line, last.txid, root / "restored", place)
        assert restored.damaged == (piece.key,)
        assert await asyncio.to_thread(rows, root / "restored") == list(range(1, last.rows + 1))

    run(body())


def test_a_line_of_which_nothing_is_kept_has_no_moment(root: Path, bun: Engine, written: Writer) -> None:
    async def body() -> None:
        found = chain(Target(TargetKind.FILE, path=root / "replica"), root, bun)
        assert (await found.timeline(written.line)).newest is None
        assert await found.choose(written.line, 1e12) is None
        with pytest.raises(SteadyError) as raised:
            await found.restore(written.line, 5, root / "restored", Place(root / "app", UID))
        assert raised.value.details["missing"] == [1, 5]

    run(body())


@pytest.mark.sandbox
def test_what_came_back_is_checked_by_sqlite_too(written: Writer, root: Path, bun: Engine) -> None:
    """A database that was damaged when it was copied."""

    async def body() -> None:
        out = root / "out"
        out.mkdir()
        damaged = root / "copy"
        target = chain(written.target, root, bun)
        await target.restore(written.line, written.history[-1].txid, damaged, Place(root / "app", UID))
        content = bytearray(damaged.read_bytes())
        content[4096 + 3 : 4096 + 600] = os.urandom(597)
        (out / "data").write_bytes(content)
        with pytest.raises(SteadyError, match="damaged") as raised:
            await target._prove(out, Place(root / "app", UID))
        assert raised.value.code == "backup_broken"

    run(body())


@pytest.mark.sandbox
@pytest.mark.parametrize("limit", ["FILES_MAX", "BYTES_MAX"])
def test_what_is_too_much_is_not_fetched(
    merged: Writer, root: Path, bun: Engine, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limit, 2)

    async def body() -> None:
        found = chain(merged.target, root, bun)
        with pytest.raises(SteadyError) as raised:
            await found.restore(merged.line, merged.history[-1].txid, root / "restored", Place(root / "app", UID))
        assert raised.value.code == "too_large"

    run(body())


@pytest.mark.sandbox
@pytest.mark.parametrize("limit", ["RESTORE_SECONDS_MAX", "CHECK_SECONDS_MAX"])
def test_it_takes_so_much_time(
    merged: Writer, root: Path, bun: Engine, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limit, 0.0)

    async def body() -> None:
        found = chain(merged.target, root, bun)
        with pytest.raises(SteadyError) as raised:
            await found.restore(merged.line, merged.history[-1].txid, root / "restored", Place(root / "app", UID))
        assert raised.value.code == "overloaded"
        assert not (root / "restored").exists()

    run(body())


@needs_cgroups
@pytest.mark.sandbox
def test_it_takes_so_much_memory(merged: Writer, root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES_MAX", 4 << 20)

    async def body() -> None:
        async with limits() as confining:
            found = Chain(Objects(merged.target), Tools(bun, True, **confining), Trash(root / "trash"))
            with pytest.raises(SteadyError) as raised:
                await found.restore(merged.line, merged.history[-1].txid, root / "restored", Place(root / "app", UID))
        assert raised.value.code == "overloaded"

    run(body())


class Counting(Objects):
    """Counts who fetches at the same time, of one restore and of all, and what is read."""

    now = 0
    most = 0
    read = 0

    async def get(self, *said: Any, **more: Any) -> bytes | None:
        self.read += 1
        return await super().get(*said, **more)

    async def fetch(self, key: str, path: Path, **more: Any) -> bool:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().fetch(key, path, **more)
        finally:
            self.now -= 1


@pytest.mark.sandbox
def test_so_much_goes_on_at_once(written: Writer, root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FETCHES_AT_ONCE_MAX", 3)

    async def body() -> None:
        objects = Counting(written.target)
        found, place = Chain(objects, Tools(bun, True), Trash(root / "trash")), Place(root / "app", UID)
        last = written.history[-1].txid
        await asyncio.gather(*(found.restore(written.line, last, root / f"restored-{n}", place) for n in range(4)))
        assert 1 < objects.most <= 3 * RESTORES_AT_ONCE_MAX

    run(body())


@pytest.mark.sandbox
def test_other_ways_are_tried_so_often(
    written: Writer, root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PLANS_MAX", 1)

    async def body() -> None:
        target = _copied(written, root)
        found, last = chain(target, root, bun), written.history[-1]
        path = target.path / ltx.plan(await found.pieces(written.line), last.txid)[0].key
        path.write_bytes(_flipped(path.read_bytes()))
        with pytest.raises(SteadyError) as raised:
            await found.restore(written.line, last.txid, root / "restored", Place(root / "app", UID))
        assert raised.value.code == "backup_broken"

    run(body())


def test_so_many_times_are_remembered(
    written: Writer, root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEADERS_KEPT_MAX", 3)

    async def body() -> None:
        found = chain(written.target, root, bun)
        for each in written.history:
            await found.choose(written.line, each.after)
        assert len(found._times) == 3

    run(body())


def _copied(found: Writer, root: Path) -> Target:
    """The replica once more, to be harmed."""
    shutil.copytree(found.target.path, root / "replica", ignore=shutil.ignore_patterns("*.tmp"))
    return Target(TargetKind.FILE, path=root / "replica")


def _flipped(content: bytes) -> bytes:
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
