"""A version as a tar.gz: whole, the same every time, and in bounded memory."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.runner.blobs import Blobs
from steadyd.runner.pack import PIECE_BYTES, pack

NOW = 1_790_000_000.9
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cc", "Cs"]), min_size=1)
TREES = st.dictionaries(NAMES.map(lambda name: f"folder/{name}"[:200]), st.binary(max_size=2_000), max_size=6)


def unpacked(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        assert {(m.mode, m.mtime, m.uid, m.uname) for m in tar} <= {(0o644, int(NOW), 0, "")}
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(TREES)
def test_it_holds_every_file_and_is_the_same_every_time(tmp_path: Path, tree: dict[str, bytes]) -> None:
    blobs = Blobs(tmp_path / "blobs")
    files = blobs.put(tree)
    content = b"".join(pack(files, blobs, NOW))
    assert unpacked(content) == tree
    assert content == b"".join(pack(files, blobs, NOW))


def test_a_large_version_takes_little_memory(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    files = blobs.put({f"{number}.bin": os.urandom(8 << 20) for number in range(3)})
    tracemalloc.start()
    size = sum(len(piece) for piece in pack(files, blobs, NOW))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 24 << 20
    assert peak < 8 * PIECE_BYTES


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_damaged_content_ends_it(tmp_path: Path, harm: str) -> None:
    blobs = Blobs(tmp_path / "blobs")
    files = blobs.put({"a.txt": b"one", "b.txt": b"two"})
    place = blobs.path(files[1].sha256)
    place.unlink()
    if harm == "changed":
        place.write_bytes(b"owt")
    with pytest.raises(SteadyError) as caught:
        list(pack(files, blobs, NOW))
    assert caught.value.code == "internal"
