"""An app as one file: what one may hold, and that whatever else it holds is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import resource
import tarfile
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyd import appfile
from steadyd.appfile import (
    CONTENT_BYTES_MAX,
    CRONS_MAX,
    DATA_BYTES_MAX,
    DATA_FILES_MAX,
    DATA_PATH_BYTES_MAX,
    MANIFEST_BYTES_MAX,
    VERSIONS_MAX,
    AppFile,
    Manifest,
    fitting,
    is_appfile,
    written,
)
from steadyd.errors import SteadyError
from steadyd.tree import DEFAULT_LIMITS

CODE, ROWS = b"export default {}\n", b"SQLite format 3\0rows"
AT = "2026-11-26T10:00:00Z"


def address(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def said(**changes: Any) -> dict[str, Any]:
    """A good manifest, with these fields instead."""
    version = {"version": 1, "entry": "index.ts", "source": "paste", "created_at": AT}
    return {
        "steadyd": 1, "name": "hello", "at": AT, "live": 1,
        "versions": [version | {"files": {"index.ts": address(CODE)}}],
        "contents": {address(CODE): len(CODE)},
        "data": {"at": AT, "files": [{"path": "data.sqlite", "bytes": len(ROWS), "sha256": address(ROWS), "at": AT}]},
    } | changes  # fmt: skip


Entry = tuple[str | tarfile.TarInfo, bytes]
GOOD: list[Entry] = [(f"contents/{address(CODE)}", CODE), ("data/data.sqlite", ROWS)]


def packed(manifest: dict[str, Any] | bytes, entries: list[Entry]) -> io.BytesIO:
    told = manifest if isinstance(manifest, bytes) else json.dumps(manifest, separators=(",", ":")).encode()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in [("manifest.json", told), *entries]:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made


def read(file: io.BytesIO) -> tuple[Manifest, dict[str, bytes]]:
    found = AppFile(file, DEFAULT_LIMITS)
    return found.manifest, {entry.path: b"".join(content) for entry, content in found.contents()}


def refused(file: io.BytesIO) -> str:
    with pytest.raises(SteadyError) as caught:
        read(file)
    return f"{caught.value.code}: {caught.value.message}"


def test_what_is_written_is_read() -> None:
    manifest, contents = read(packed(said(), GOOD))
    assert contents == dict(GOOD)
    assert manifest.running.files == {"index.ts": address(CODE)}
    again, _ = read(packed(written(manifest), GOOD))
    assert again == manifest


def test_entries_that_nobody_reads_are_proven_too() -> None:
    file = packed(said(), [GOOD[0], ("data/data.sqlite", ROWS.replace(b"rows", b"ROWS"))])
    with pytest.raises(SteadyError, match="SHA-256"):
        for _ in AppFile(file, DEFAULT_LIMITS).contents():
            pass


def special(kind: bytes, name: str, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([GOOD[0]], "is missing"),
        ([GOOD[1], GOOD[0]], "should be"),
        ([*GOOD, GOOD[1]], "nothing lists"),
        ([GOOD[0], GOOD[0], GOOD[1]], "should be"),
        ([GOOD[0], ("data/../../etc/passwd", ROWS)], "should be"),
        ([GOOD[0], (special(tarfile.SYMTYPE, "data/data.sqlite", "/etc/passwd"), b"")], "should be"),
        ([GOOD[0], (special(tarfile.LNKTYPE, "data/data.sqlite", "/etc/passwd"), b"")], "should be"),
        ([GOOD[0], (special(tarfile.FIFOTYPE, "data/data.sqlite"), b"")], "should be"),
        ([GOOD[0], (special(tarfile.CHRTYPE, "data/data.sqlite"), b"")], "should be"),
        ([GOOD[0], (special(tarfile.DIRTYPE, "data/data.sqlite"), b"")], "should be"),
        ([GOOD[0], ("data/data.sqlite", ROWS + b"!")], "should be"),
        ([(GOOD[0][0], CODE.replace(b"{}", b"[]")), GOOD[1]], "SHA-256"),
    ],
)
def test_an_entry_is_the_expected_one_or_none(entries: list[Entry], why: str) -> None:
    told = refused(packed(said(), entries))
    assert told.startswith("invalid_archive: ")
    assert why in told


def files(*paths: str) -> dict[str, Any]:
    made = [{"path": path, "bytes": 0, "sha256": address(b"")} for path in paths]
    return {"at": AT, "files": made}


def version(**changes: Any) -> dict[str, Any]:
    return {**said()["versions"][0], **changes}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"steadyd": 2}, "invalid_archive: This archive of an app cannot be used: its format is 2"),
        ({"steadyd": 0}, "invalid_archive"),
        ({"surprise": 1}, "invalid_archive"),
        ({"name": "no name"}, "invalid_name"),
        ({"at": "2026-11-26T10:00:00"}, "invalid_archive"),
        ({"live": 2}, "its versions are not in order, or the live one"),
        ({"versions": []}, "invalid_archive"),
        ({"versions": [version(), version()]}, "not in order"),
        ({"versions": [version(entry="other.ts")]}, "entry of version 1"),
        ({"versions": [version(files={"../x": address(CODE)})]}, "invalid_path"),
        ({"versions": [version(files={"/x": address(CODE)})]}, "invalid_path"),
        ({"versions": [version(files={"index.ts": address(b"?")})]}, "needs a content"),
        ({"versions": [version(files={"index.ts": address(CODE), "Index.ts": address(CODE)})]}, "differ only in case"),
        ({"versions": [version(source="<script>")]}, "invalid_archive"),
        ({"versions": [version(message="x" * 501)]}, "invalid_archive"),
        ({"versions": [version(files={f"{n}.ts": address(CODE) for n in range(1_001)})]}, "too_large"),
        ({"contents": {address(CODE): len(CODE), address(b""): 0}}, "not those that its versions need"),
        ({"contents": {address(CODE): CONTENT_BYTES_MAX + 1}}, "too_large"),
        ({"contents": {"../../etc/passwd": 1}}, "invalid_archive"),
        ({"data": files("b", "a")}, "not in order"),
        ({"data": files("a", "a")}, "not in order"),
        ({"data": files("../a")}, "invalid_path"),
        ({"data": files("/a")}, "invalid_path"),
        ({"data": files("a/./b")}, "invalid_path"),
        ({"data": files("a\0")}, "invalid_path"),
        ({"data": files("node_modules/a")}, "invalid_path"),
        ({"data": files("x/" * (DATA_PATH_BYTES_MAX // 2) + "x")}, "invalid_path"),
        ({"data": files("a", "a/b")}, "needs it as a folder"),
        ({"data": files("index.ts/b")}, "needs it as a folder"),
        ({"variables": {f"V{n}": True for n in range(1_001)}}, "too_large"),
        ({"crons": [{"id": f"c{n}", "schedule": "@daily"} for n in range(CRONS_MAX + 1)]}, "too_large"),
    ],
)
def test_a_manifest_hangs_together_or_is_refused(changes: dict[str, Any], why: str) -> None:
    assert why in refused(packed(said(**changes), GOOD))


def test_limits_of_numbers_and_bytes() -> None:
    many = [version(version=number) for number in range(1, VERSIONS_MAX + 2)]
    assert f"more than {VERSIONS_MAX} versions" in refused(packed(said(versions=many), GOOD))
    large = {"path": "a", "bytes": DATA_BYTES_MAX + 1, "sha256": address(b"")}
    assert "its data may have" in refused(packed(said(data={"at": AT, "files": [large]}), GOOD))
    assert "manifest.json may have" in refused(packed(b" " * (MANIFEST_BYTES_MAX + 1), GOOD))


def test_so_many_files_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DATA_FILES_MAX == 100_000
    monkeypatch.setattr(appfile, "DATA_FILES_MAX", 2)
    assert "more than 2 files of data" in refused(packed(said(data=files("a", "b", "c")), GOOD))


NONE = (b"", b"\x1f\x8b", b"\x1f\x8b" + bytes(100), b"PK\x03\x04", gzip.compress(b"no tar"), gzip.compress(CODE * 99))


@pytest.mark.parametrize("content", NONE, ids=range(len(NONE)))
def test_what_is_no_archive(content: bytes) -> None:
    assert refused(io.BytesIO(content)).startswith("invalid_archive")
    assert not is_appfile(io.BytesIO(content))


def test_one_is_known_by_its_first_entry() -> None:
    assert is_appfile(packed(said(), GOOD))
    other = io.BytesIO()
    with tarfile.open(fileobj=other, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("index.ts"))
    assert not is_appfile(other)


def test_a_bomb_costs_neither_memory_nor_time() -> None:
    """10 GiB of zeros, where the manifest lists 18 bytes: refused before a byte of them is inflated."""
    told = json.dumps(said(), separators=(",", ":")).encode()
    head = io.BytesIO()
    with tarfile.open(fileobj=head, mode="w") as archive:
        info = tarfile.TarInfo("manifest.json")
        info.size = len(told)
        archive.addfile(info, io.BytesIO(told))
        info = tarfile.TarInfo(GOOD[0][0] if isinstance(GOOD[0][0], str) else "")
        info.size = 10 << 30
        start = archive.offset
    tar = head.getvalue()[:start] + info.tobuf(tarfile.PAX_FORMAT)
    zeros = gzip.compress(bytes(64 << 20)) * 16
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert "should be" in refused(io.BytesIO(gzip.compress(tar) + zeros))
    assert time.monotonic() - began < 2.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_the_live_version_and_the_newest_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appfile, "CONTENT_BYTES_MAX", 100)
    sizes = {number: {f"only-{number}": 30, "shared": 10} for number in range(1, 6)}
    assert fitting(sizes, live=1) == {1, 5, 4}
    assert fitting({1: {"large": 1_000}}, live=1) == {1}
    monkeypatch.setattr(appfile, "VERSIONS_MAX", 2)
    assert fitting(sizes, live=5) == {5, 4}


def test_too_long_a_list_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, _ = read(packed(said(), GOOD))
    monkeypatch.setattr(appfile, "MANIFEST_BYTES_MAX", 10)
    with pytest.raises(SteadyError, match="too large"):
        written(manifest)


SOUND = packed(said(), GOOD).getvalue()


def mutations() -> st.SearchStrategy[bytes]:
    def bent(spot: tuple[int, int]) -> bytes:
        inner = bytearray(gzip.decompress(SOUND))
        inner[spot[0] % len(inner)] ^= spot[1]
        return gzip.compress(bytes(inner))

    cut = st.integers(0, len(SOUND)).map(lambda end: SOUND[:end])
    return cut | st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)).map(bent)


@settings(deadline=None, max_examples=150)
@given(mutations())
def test_a_bent_or_cut_one_is_refused_or_has_the_same_files(content: bytes) -> None:
    """A flipped bit is found, or lies where it changes no file: in a header's padding, or what is only told."""
    code, contents = "", {str(name): content for name, content in GOOD}
    try:
        _, contents = read(io.BytesIO(content))
    except SteadyError as error:
        code = error.code
    assert code in ("invalid_archive", "invalid_path", "invalid_name", "too_large") if code else contents == dict(GOOD)
