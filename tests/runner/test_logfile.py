from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import pytest

from steadyd.runner.logfile import PARTS, LogFolder
from steadyd.runner.logparts import BLOCK_BYTES, Wish


def record(number: int, text: str = "line") -> bytes:
    return f"2026-01-02T03:04:05.{number:06d}Z 1 app {text} {number}\n".encode()


def tail(log: LogFolder, count: int, text: bytes = b"", since: bytes = b"") -> list[bytes]:
    with contextlib.closing(log.open()) as parts:
        return [line for _, line in parts.backward(None, count, Wish(text), stop=parts.find(since)).records]


def numbers(records: list[bytes]) -> list[int]:
    return [int(line.rsplit(b" ", 1)[1]) for line in records]


def test_the_tail_is_the_newest_oldest_first(tmp_path: Path) -> None:
    log = LogFolder(tmp_path / "logs", 0)
    assert tail(log, 10) == []
    log.append(b"".join(record(n) for n in range(100)))
    assert numbers(tail(log, 3)) == [97, 98, 99]
    assert numbers(tail(log, 1000)) == list(range(100))


def test_the_tail_can_be_narrowed(tmp_path: Path) -> None:
    log = LogFolder(tmp_path, 0)
    log.append(b"".join(record(n, "odd" if n % 2 else "even") for n in range(10)))
    assert numbers(tail(log, 2, text=b"odd")) == [7, 9]
    assert numbers(tail(log, 100, since=b"2026-01-02T03:04:05.000008Z")) == [8, 9]


def test_the_folder_never_grows_past_its_cap(tmp_path: Path) -> None:
    cap = BLOCK_BYTES * PARTS
    log = LogFolder(tmp_path, cap)
    piece = b"".join(record(n, "x" * 900) for n in range(64))
    for _ in range(2 * cap // len(piece)):
        log.append(piece)
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert cap // 2 < total <= cap
    assert len(list(tmp_path.iterdir())) <= PARTS


def test_one_batch_larger_than_the_cap_keeps_it(tmp_path: Path) -> None:
    """What a flooding app says in a moment may be more than a small cap allows for ever."""
    cap = BLOCK_BYTES * PARTS
    log = LogFolder(tmp_path, cap)
    batch = [record(n, "x" * 900) for n in range(2 * cap // 900)]
    log.append(b"".join(batch))
    assert cap // 2 < sum(path.stat().st_size for path in tmp_path.iterdir()) <= cap
    assert numbers(tail(log, 50)) == list(range(len(batch) - 50, len(batch)))


def test_the_tail_reaches_into_older_parts(tmp_path: Path) -> None:
    log = LogFolder(tmp_path, BLOCK_BYTES * PARTS)
    for n in range(600):
        log.append(record(n, "x" * 1000))
    assert (tmp_path / "app.log.1").exists()
    assert numbers(tail(log, 500)) == list(range(100, 600))


def test_a_line_cut_off_by_a_crash_is_not_shown(tmp_path: Path) -> None:
    log = LogFolder(tmp_path, 0)
    log.append(record(1))
    with open(tmp_path / "app.log", "ab") as file:
        file.write(b"2026-01-02T03:04:05.0000\n\x00\x00\x00\nnoise\n")
    log.append(record(2))
    assert numbers(tail(log, 10)) == [1, 2]


def test_a_line_that_a_crash_cut_in_its_text_does_not_swallow_the_next(tmp_path: Path) -> None:
    LogFolder(tmp_path, 0).append(record(1) + record(2, "long line")[:-3])
    LogFolder(tmp_path, 0).append(record(3))
    first, cut, last = tail(LogFolder(tmp_path, 0), 10)
    assert (numbers([first, last]), cut.endswith(b" long line")) == ([1, 3], True)


def test_a_link_in_the_log_s_place_is_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    folder = tmp_path / "logs"
    folder.mkdir()
    os.symlink(elsewhere, folder / "app.log")
    with caplog.at_level(logging.WARNING):
        LogFolder(folder, 0).append(record(1))
    assert elsewhere.read_bytes() == b"precious"
    assert "log lines lost" in caplog.text


def test_nobody_else_may_read_a_log(tmp_path: Path) -> None:
    LogFolder(tmp_path / "logs", 0).append(record(1))
    assert (tmp_path / "logs").stat().st_mode & 0o077 == 0
    assert (tmp_path / "logs" / "app.log").stat().st_mode & 0o077 == 0
