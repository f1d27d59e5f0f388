from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from steadyd.backup.metafolder import Held, exists, held, is_meta, remove, settle, strange


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    app = tmp_path / "app"
    (app / "sub").mkdir(parents=True)
    (app / "sub" / "x.db").write_bytes(b"")
    return app


def test_what_another_line_left_goes_and_the_same_one_goes_on(folder: Path, tmp_path: Path) -> None:
    meta, aside = folder / "sub" / ".x.db-litestream", tmp_path / "aside"
    assert settle(folder, "sub/x.db", "1/7", aside) == ""
    (meta / "ltx" / "0").mkdir(parents=True)
    (meta / "ltx" / "0" / "a.ltx").write_bytes(b"12345")
    assert settle(folder, "sub/x.db", "1/7", aside) == ""
    assert held(folder, "sub/x.db") == Held(1, 5)
    assert not aside.exists()
    assert settle(folder, "sub/x.db", "1/8", aside) == ""
    assert held(folder, "sub/x.db") == Held(0, 0)
    assert (aside / "ltx" / "0" / "a.ltx").exists()
    remove(folder, "sub/x.db", tmp_path / "more")
    assert not meta.exists()
    assert is_meta(meta.name)


def test_a_link_in_the_way_is_never_followed(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "ltx" / "0").mkdir(parents=True)
    (elsewhere / "line").write_text("1/7")
    os.symlink(elsewhere, folder / "sub" / ".x.db-litestream")
    assert settle(folder, "sub/x.db", "1/7", tmp_path / "aside") == ""
    assert (folder / "sub" / ".x.db-litestream").is_dir()
    assert not (folder / "sub" / ".x.db-litestream").is_symlink()
    assert (elsewhere / "line").read_text() == "1/7"
    os.symlink(elsewhere, folder / "link")
    with pytest.raises(OSError, match="link"):
        settle(folder, "link/x.db", "1/7", tmp_path / "more")
    assert held(folder, "link/x.db") == Held(0, 0)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_what_is_no_plain_file_is_not_opened(folder: Path, tmp_path: Path, suffix: str) -> None:
    path = folder / "sub" / f"x.db{suffix}"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert "no regular file" in settle(folder, "sub/x.db", "1/7", tmp_path / "aside")
    assert exists(folder, f"sub/x.db{suffix}")
    assert not exists(folder, "sub/y.db")


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_hole_is_not_read_for_hours(folder: Path, tmp_path: Path, suffix: str) -> None:
    path = folder / "sub" / f"x.db{suffix}"
    path.write_bytes(b"SQLite format 3\0")
    os.truncate(path, 1 << 40)
    assert settle(folder, "sub/x.db", "1/7", tmp_path / "aside") == f"“{path.name}” is one hole, 1,024 GiB long."
    os.truncate(path, 1 << 30)
    assert settle(folder, "sub/x.db", "1/7", tmp_path / "aside") == ""


def test_so_many_files_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadyd.backup.metafolder.FILES_COUNTED_MAX", 3)
    level = folder / ".x.db-litestream" / "ltx" / "0"
    level.mkdir(parents=True)
    for number in range(9):
        (level / f"{number}.ltx").write_bytes(b"1")
    assert held(folder, "x.db") == Held(3, 3)


def test_a_pipe_where_a_file_should_be_is_found_and_holds_nobody_up(folder: Path) -> None:
    level = folder / "sub" / ".x.db-litestream" / "ltx" / "0"
    level.mkdir(parents=True)
    (level / "1.ltx").write_bytes(b"1")
    assert strange(folder, "sub/x.db") == ""
    os.mkfifo(level / "2.ltx")
    waiting = threading.Thread(target=(level / "2.ltx").read_bytes)
    waiting.start()
    deadline = time.monotonic() + 10
    while waiting.is_alive() and time.monotonic() < deadline:
        assert strange(folder, "sub/x.db") == "2.ltx"
    waiting.join(1)
    assert not waiting.is_alive()
    (level / "2.ltx").unlink()
    os.symlink("/dev/zero", folder / "sub" / "x.db-wal")
    assert strange(folder, "sub/x.db") == "x.db-wal"
