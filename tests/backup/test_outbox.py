from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path

import pytest

from steadyd.backup.outbox import OUTBOX_BYTES_MAX, OUTBOX_FILES_MAX, Amount, Outbox
from steadyd.backup.reading import Late
from steadyd.errors import SteadyError
from steadyd.runner.folder import Place


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def soon() -> float:
    return time.monotonic() + 10.0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "a", None)
    place.app.mkdir(parents=True)
    return place


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def test_a_file_is_copied_in_by_its_content(place: Place, outbox: Outbox) -> None:
    (place.app / "a.txt").write_bytes(b"content")
    got = outbox.take(place, "a.txt", soon())
    assert got is not None
    assert (got.sha256, got.steady) == (sha(b"content"), True)
    assert outbox.path(got.sha256).read_bytes() == b"content"
    assert outbox.take(place, "a.txt", soon()) == got
    assert outbox.amount == Amount(1, 7)
    assert outbox.waiting(10) == [got.sha256]
    outbox.remove(got.sha256)
    outbox.remove(got.sha256)
    assert (outbox.amount, outbox.waiting(10), outbox.holds(got.sha256)) == (Amount(), [], False)


def test_what_is_no_file_of_the_apps_is_not_taken(place: Place, outbox: Outbox) -> None:
    (place.app / "link").symlink_to("/etc/passwd")
    os.mkfifo(place.app / "fifo")
    with sqlite3.connect(place.app / "data.txt") as database:
        database.execute("CREATE TABLE t (x)")
    for name in ("link", "fifo", "data.txt", "missing", "missing/too"):
        assert outbox.take(place, name, soon()) is None
    if os.geteuid() == 0:
        (place.app / "foreign").write_text("secret")
        assert outbox.take(Place(place.root, 1_900_000_777), "foreign", soon()) is None
    assert outbox.amount == Amount()


def test_a_content_of_our_own_is_put(outbox: Outbox) -> None:
    assert outbox.put(b"list") == outbox.put(b"list") == sha(b"list")
    assert (outbox.path(sha(b"list")).read_bytes(), outbox.amount) == (b"list", Amount(1, 4))


def test_past_its_bounds_it_takes_nothing_and_says_what_waits(place: Place, tmp_path: Path) -> None:
    (place.app / "a").write_bytes(b"12345")
    for outbox in (Outbox(tmp_path / "few", files_max=1), Outbox(tmp_path / "small", bytes_max=7)):
        outbox.put(b"one")
        for _ in range(2):
            with pytest.raises(SteadyError, match=r"1 files \(0 MiB\) wait") as caught:
                outbox.put(b"123456")
            assert caught.value.code == "overloaded"
            with pytest.raises(SteadyError, match="wait for the object store"):
                outbox.take(place, "a", soon())
        assert outbox.amount == Amount(1, 3)
    fresh = Outbox(tmp_path / "fresh")
    assert (fresh.files_max, fresh.bytes_max) == (OUTBOX_FILES_MAX, OUTBOX_BYTES_MAX)


def test_a_copy_that_takes_too_long_is_given_up(place: Place, outbox: Outbox) -> None:
    (place.app / "a").write_bytes(b"x" * 100)
    with pytest.raises(Late):
        outbox.take(place, "a", time.monotonic() - 1)
    assert (outbox.amount, outbox.waiting(10)) == (Amount(), [])


def test_after_a_crash_only_what_is_whole_stays(outbox: Outbox, tmp_path: Path) -> None:
    good, broken = outbox.put(b"good"), outbox.put(b"broken")
    outbox.path(broken).write_bytes(b"brok")
    (tmp_path / "outbox/part-xyz").write_bytes(b"half")
    again = Outbox(tmp_path / "outbox")
    again.settle()
    assert (again.amount, again.waiting(10)) == (Amount(1, 4), [good])
    assert not (tmp_path / "outbox/part-xyz").exists()
