"""One door to a folder and to a bucket: both behave the same, and say what keeps them from it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from steadyd.backup import objects as module
from steadyd.backup.objects import CHUNK_BYTES, PART_BYTES, RATE_BYTES_MIN, Objects, Patience
from steadyd.backup.target import Target, TargetKind
from steadyd.errors import SteadyError
from tests.objectstore import KEY_ID, SECRET, Fault, FaultProxy, ObjectStore
from tests.runner.conftest import until

T = TypeVar("T")
QUICK = Patience(attempts_max=2, answer_seconds_max=0.1)


def run(body: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await body

    return uvloop.run(bounded())


@pytest.fixture(params=["file", "s3"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """A folder, and a bucket behind moto."""
    if request.param == "file":
        return Target(TargetKind.FILE, path=tmp_path / "replica")
    store: ObjectStore = request.getfixturevalue("moto")
    return store.target(secrets.token_hex(4))


def refusal(body: Coroutine[Any, Any, object]) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        run(body)
    return caught.value


def test_what_was_put_is_there(target: Target) -> None:
    """Whole, in part, listed, copied, and gone once deleted."""

    async def body() -> None:
        objects = Objects(target)
        await objects.put("a/one", b"0123456789")
        assert await objects.get("a/one") == b"0123456789"
        assert await objects.get("a/one", 2, 3) == b"234"
        assert await objects.get("a/one", 8) == b"89"
        assert await objects.get("a/one", 8, 100) == b"89"
        assert await objects.get("a/one", 10, 5) == b""
        assert await objects.get("a/one", 0, 0) == b""
        assert await objects.get("a/two") is None
        await objects.put("a/one", b"new")
        assert await objects.copy("a/one", "a/b/three")
        assert not await objects.copy("a/none", "a/four")
        await objects.put("ab", b"a folder's name is whole")
        found = await objects.list("a")
        assert [(entry.key, entry.size) for entry in found] == [("a/b/three", 3), ("a/one", 3)]
        assert all(abs(entry.modified - time.time()) < 60 for entry in found)
        assert await objects.list("none") == []
        await objects.delete(["a/one", "a/none"])
        await objects.delete([])
        assert [entry.key for entry in await objects.list("a")] == ["a/b/three"]

    run(body())


def test_create_makes_what_is_not_there(target: Target) -> None:
    """Of many that try at once, one succeeds."""

    async def body() -> None:
        objects = Objects(target)
        assert await objects.create("k", b"first")
        assert not await objects.create("k", b"second")
        assert await objects.get("k") == b"first"
        if target.kind is TargetKind.FILE:  # moto looks first and writes then
            made = await asyncio.gather(*(objects.create("many", str(n).encode()) for n in range(20)))
            assert sum(made) == 1
            assert await objects.get("many") == str(made.index(True)).encode()

    run(body())


def test_files_go_and_come_in_pieces(target: Target, tmp_path: Path) -> None:
    """In several parts and chunks, byte for byte."""
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(PART_BYTES + 3 * CHUNK_BYTES + 1))

    async def body() -> None:
        objects = Objects(target)
        await objects.put_file("big", source)
        assert await objects.fetch("big", back)
        assert back.read_bytes() == source.read_bytes()
        assert await objects.fetch("big", tmp_path / "soon gone", lasting=False)
        assert (tmp_path / "soon gone").read_bytes() == source.read_bytes()
        assert (tmp_path / "soon gone").stat().st_mode & 0o777 == 0o644
        for lasting in (True, False):
            assert not await objects.fetch("none", tmp_path / "none", lasting=lasting)
        assert set(os.listdir(tmp_path)) - {"replica"} == {"back", "source", "soon gone"}

    run(body())


def test_a_folder_takes_links(tmp_path: Path) -> None:
    """Of what never changes: no byte is written twice, and a copy does not change with its source's replacement."""
    source = tmp_path / "source"
    source.write_bytes(b"the same for ever")
    target = Target(TargetKind.FILE, path=tmp_path / "replica")

    async def body() -> None:
        objects = Objects(target)
        await objects.put_file("one", source, link=True)
        await objects.put_file("one", source, link=True)
        assert (target.path / "one").stat().st_ino == source.stat().st_ino
        assert await objects.copy("one", "x/two")
        assert (target.path / "x/two").stat().st_ino == source.stat().st_ino
        await objects.put("one", b"other")
        assert await objects.get("x/two") == b"the same for ever" == source.read_bytes()
        assert [entry.key for entry in await objects.list("")] == ["one", "x/two"]

    run(body())


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/etc/out"])
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    objects = Objects(Target(TargetKind.FILE, path=tmp_path / "replica"))
    with pytest.raises(ValueError, match="no key"):
        run(objects.copy(key, "x"))
    assert not (tmp_path / "out").exists()


def test_only_we_enter_a_folder_that_we_made(tmp_path: Path) -> None:
    Objects(Target(TargetKind.FILE, path=tmp_path / "replica"))
    assert (tmp_path / "replica").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SteadyError) as caught:
        Objects(Target(TargetKind.FILE, path=tmp_path / "file" / "replica"))
    assert caught.value.code == "replica_refused"
    assert "not a directory" in caught.value.message


def test_the_check_passes_where_everything_works(target: Target) -> None:
    """And leaves nothing."""

    async def body() -> None:
        objects = Objects(target)
        await objects.check()
        assert await objects.list("") == []

    run(body())


def test_requests_are_counted_for_their_app(target: Target) -> None:
    async def body() -> None:
        objects = Objects(target)
        await objects.put("a", b"", app_id="one")
        await objects.get("a", app_id="one")
        await objects.list("a", app_id="two")
        assert [objects.tally.today(app_id) for app_id in ("one", "two", "")] == [2, 1, 0]

    run(body())


def test_a_bucket_that_is_not_there_is_told(moto: ObjectStore) -> None:
    """And not taken for an object that is not there."""
    target = dataclasses.replace(moto.target(), bucket="no-such-bucket")
    for call in (Objects(target).check(), Objects(target).get("a"), Objects(target).list("a")):
        error = refusal(call)
        assert error.code == "replica_refused"
        assert "Make the bucket" in error.message


def test_wrong_credentials_are_told_at_once_and_not_shown(moto: ObjectStore) -> None:
    """They are not tried again, and moto really looks at them."""
    objects = Objects(moto.target())
    moto.check_credentials()
    try:
        error = refusal(objects.check())
    finally:
        moto.check_credentials(False)
    assert error.code == "replica_refused"
    assert "InvalidAccessKeyId" in error.message
    assert "AWS_ACCESS_KEY_ID" in error.message
    assert KEY_ID not in error.message
    assert SECRET not in error.message
    assert objects.tally.today("") == 1


def test_the_environment_adds_nothing(moto: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the target says is all: no other key, no other server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody else")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere")
    run(Objects(moto.target("env")).check())


def test_a_store_that_ignores_conditions_is_unfit(moto: ObjectStore, proxy: FaultProxy) -> None:
    proxy.become(Fault.UNCONDITIONAL)
    error = refusal(Objects(moto.target("unfit", proxy.port)).check())
    assert error.code == "replica_unfit"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.REFUSE, "no connection"),
        (Fault.RESET, "it resets connections"),
        (Fault.CUT, "its answers end early"),
        (Fault.HALF_OPEN, "no answer in 0.1 s"),
        (Fault.SLOW, "no answer in 0.1 s"),
        (Fault.BUSY, "SlowDown"),
        (Fault.FULL, "InsufficientStorage"),
    ],
)
def test_a_store_that_is_away_is_told_after_so_many_attempts(
    moto: ObjectStore, proxy: FaultProxy, fault: Fault, said: str
) -> None:
    """Within the deadlines; and once it is back, so are we."""

    async def body() -> None:
        objects = Objects(moto.target("away", proxy.port), QUICK)
        await objects.put("k", b"here")
        proxy.become(fault, delay_seconds=2.0)
        calls = {"put": objects.put("k", b"x"), "create": objects.create("l", b"x")}
        if fault is not Fault.FULL:
            calls |= {"get": objects.get("k"), "list": objects.list(""), "delete": objects.delete(["k"])}  # type: ignore[dict-item]
        began = time.monotonic()
        for name, call in calls.items():
            before = objects.tally.today("")
            with pytest.raises(SteadyError) as caught:
                await call
            assert caught.value.code == "replica_away", name
            assert said in caught.value.message
            assert objects.tally.today("") - before == QUICK.attempts_max
        assert time.monotonic() - began < 20
        proxy.become(Fault.NONE)
        assert await objects.get("k") is not None or fault is not Fault.FULL

    run(body())


def test_a_fetch_that_is_cut_leaves_nothing(moto: ObjectStore, proxy: FaultProxy, tmp_path: Path) -> None:
    """Half a file is no file."""

    async def body() -> None:
        objects = Objects(moto.target("cut", proxy.port), QUICK)
        await objects.put("k", os.urandom(1 << 20))
        proxy.become(Fault.CUT, cut_bytes=100_000)
        with pytest.raises(SteadyError) as caught:
            await objects.fetch("k", tmp_path / "back")
        assert caught.value.code == "replica_away"
        assert os.listdir(tmp_path) == []
        proxy.become(Fault.NONE)
        assert await objects.fetch("k", tmp_path / "back")

    run(body())


def test_a_slow_answer_is_waited_for(moto: ObjectStore, proxy: FaultProxy) -> None:
    """As long as it comes in time."""
    proxy.become(Fault.SLOW, delay_seconds=0.2)
    run(Objects(moto.target("slow", proxy.port)).check())


def test_so_many_calls_go_on_at_once(moto: ObjectStore, proxy: FaultProxy) -> None:
    """The others wait for their turn, and are answered all the same."""

    async def body() -> None:
        proxy.become(Fault.HALF_OPEN)
        objects, before = Objects(moto.target("many", proxy.port)), proxy.connections
        calls = [asyncio.ensure_future(objects.get(f"k{n}")) for n in range(3 * module.CALLS_AT_ONCE_MAX)]
        await until(lambda: proxy.connections - before >= module.CALLS_AT_ONCE_MAX)
        await asyncio.sleep(0.1)
        assert proxy.connections - before == module.CALLS_AT_ONCE_MAX
        proxy.become(Fault.NONE)
        assert await asyncio.gather(*calls) == [None] * len(calls)

    run(body())


def test_what_is_too_large_is_not_read_into_memory(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GET_BYTES_MAX", 10)

    async def body() -> None:
        await Objects(target).put("k", b"0" * 11)
        await Objects(target).get("k")

    error = refusal(body())
    assert error.code == "replica_refused"


def test_a_listing_has_an_end(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_MAX", 2)

    async def body() -> None:
        for key in ("p/1", "p/2", "p/3"):
            await Objects(target).put(key, b"")
        await Objects(target).list("p")

    assert "objects below p" in refusal(body()).message


def test_an_upload_has_time_by_its_size() -> None:
    """Whoever sends 64 KiB a second is waited for."""
    assert Objects(Target(TargetKind.FILE, path=Path("/tmp")))._upload_seconds(10 * RATE_BYTES_MIN) == 25.0
