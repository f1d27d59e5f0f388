from __future__ import annotations

import os
from pathlib import Path

from steadyd.backup.known import KNOWN, load, save
from steadyd.backup.reading import Seen
from steadyd.backup.survey import Known
from steadyd.runner.folder import Place

FILES = {
    "a/b.txt": Known(Seen(7, 3, 1_800_000_000_123_456_789, 1_800_000_000_123_456_790), "a" * 64, 1_800_000_000.25),
    os.fsdecode(b"\xff\n"): Known(Seen(8, 0, 0, 0), "b" * 64, 0.0),
}


def test_it_is_read_as_it_was_saved(tmp_path: Path) -> None:
    place = Place(tmp_path, None)
    assert load(place) == {}
    save(place, FILES)
    assert load(place) == FILES
    save(place, {})
    assert load(place) == {}


def test_nonsense_is_nothing_and_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    for content in (b"\xff\xfe", b"[1, 2]\n", b"{}\n", b"[" * 9_000):
        (tmp_path / KNOWN).write_bytes(content)
        assert load(Place(tmp_path, None)) == {}
    save(Place(tmp_path / "gone", None), FILES)
