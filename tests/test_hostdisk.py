from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from steadyd import hostdisk
from steadyd.hostdisk import CALM_SHARE, FULL_SHARE, REMIND_SECONDS, Disk, Fullness, look, sentence, watch
from tests.proxy.stage import until


def test_what_is_used_is_what_df_says(tmp_path: Path) -> None:
    disk, total = look(tmp_path), shutil.disk_usage(tmp_path)
    assert disk.used_bytes == pytest.approx(total.used, abs=1 << 26)
    assert 0 < disk.share < 1
    assert Disk(0, 0).share == 0


def test_a_disk_is_told_of_when_it_gets_full_and_once_a_day_while_it_is() -> None:
    fullness = Fullness()
    history = [
        (0.5, 0.0, False),
        (FULL_SHARE, 1.0, True),
        (0.99, 2.0, False),
        ((CALM_SHARE + FULL_SHARE) / 2, 3.0, False),
        (FULL_SHARE, 4.0, False),
        (FULL_SHARE, 1.0 + REMIND_SECONDS, True),
        (CALM_SHARE - 0.01, 2.0 + REMIND_SECONDS, False),
        (FULL_SHARE, 3.0 + REMIND_SECONDS, True),
    ]
    assert [fullness.is_news(share, now) for share, now, _ in history] == [news for _, _, news in history]


def test_the_sentence_says_how_much_and_what_to_do() -> None:
    said = sentence(Path("/var/lib/steadyd"), Disk(92 << 30, 8 << 30))
    assert said.startswith("92% of the disk under /var/lib/steadyd are used, 8.0 GiB are free.")
    assert "make room" in said


def test_the_loop_looks_again_and_survives_a_folder_that_cannot_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hostdisk, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(hostdisk, "FULL_SHARE", 0.0)
    folder, told = tmp_path / "data", asyncio.Event()

    async def body() -> None:
        said: list[str] = []

        def hear(text: str) -> None:
            said.append(text)
            told.set()

        watching = asyncio.create_task(watch(folder, hear))
        await until(lambda: caplog.records, "the complaint")
        folder.mkdir()
        async with asyncio.timeout(5):
            await told.wait()
        watching.cancel()
        assert str(folder) in said[0]

    asyncio.run(body())
