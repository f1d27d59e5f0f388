"""Archives: what they may hold, what they may not, and that what they unpack to is bounded while it is read."""

from __future__ import annotations

import contextlib
import gzip
import io
import resource
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.tree import FILE_BYTES_MAX, FILES_MAX, NO_LIMITS
from steadyd.web import archive
from steadyd.web.archive import DIRECTORY_BYTES_MAX, ENTRIES_MAX, LEFT_OUT_MAX, is_archive, unpack

HELLO = b"export default {}\n"


def tar(*entries: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for entry in entries:
            info, content = entry if isinstance(entry, tuple) else (entry, b"")
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return packed.getvalue()


def zip_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def refused(packed: bytes) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        unpack(io.BytesIO(packed))
    return caught.value


PACKERS: list[Callable[..., bytes]] = [tar, zipped, lambda *entries: gzip.compress(tar(*entries))]


@pytest.mark.parametrize("pack", PACKERS)
def test_a_tree_comes_out_as_it_went_in(pack: Callable[..., bytes]) -> None:
    files = {"index.ts": HELLO, "lib/a.ts": b"", "ä/ö.bin": bytes(range(256)), "x" * 150 + "/long.ts": b"x" * 100_000}
    assert unpack(io.BytesIO(pack(*files.items()))).files == files


@pytest.mark.parametrize("pack", PACKERS)
def test_a_single_top_folder_is_stripped(pack: Callable[..., bytes]) -> None:
    assert unpack(io.BytesIO(pack(("app/index.ts", HELLO), ("app/lib/a.ts", b"")))).files.keys() == {
        "index.ts",
        "lib/a.ts",
    }
    assert unpack(io.BytesIO(pack(("./index.ts", HELLO), ("./lib/a.ts", b"")))).files.keys() == {"index.ts", "lib/a.ts"}
    assert unpack(io.BytesIO(pack(("a/index.ts", HELLO), ("b/index.ts", HELLO)))).files.keys() == {
        "a/index.ts",
        "b/index.ts",
    }


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../x.ts", "invalid_path"), ("/etc/passwd", "invalid_path"), ("a/../../x.ts", "invalid_path"),
        ("a//b.ts", "invalid_path"), ("a\\..\\b.ts", "invalid_path"), ("a\nb.ts", "invalid_path"),
        ("a/./b.ts", "invalid_path"), ("x" * 300 + ".ts", "invalid_path"), ("e\u0301.ts", "invalid_path"),
    ],
)  # fmt: skip
def test_a_path_that_is_not_plain_is_refused(pack: Callable[..., bytes], path: str, code: str) -> None:
    error = refused(pack(("index.ts", HELLO), (path, b"")))
    assert error.code == code
    assert error.details["path"]


@pytest.mark.parametrize("pack", PACKERS)
def test_anything_twice_is_refused(pack: Callable[..., bytes]) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if pack is zipped else pytest.raises(SteadyError):
        if pack is zipped:
            assert refused(pack(("index.ts", b"1"), ("index.ts", b"2"))).code == "invalid_archive"
        else:
            unpack(io.BytesIO(pack(("index.ts", b"1"), ("./index.ts", b"2"))))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (special("x", tarfile.CHRTYPE), "device"),
        (special("x", tarfile.BLKTYPE), "device"),
        (special("x", tarfile.FIFOTYPE), "pipe"),
        (special("x", b"V"), "unknown kind"),
        (special("x", tarfile.GNUTYPE_SPARSE), "sparse"),
    ],
)  # fmt: skip
def test_only_files_and_folders_are_taken(entry: tarfile.TarInfo, words: str) -> None:
    error = refused(tar(("index.ts", HELLO), entry))
    assert error.code == "invalid_archive"
    assert words in error.message
    assert error.details["path"] == "x"


LINKS = [
    special("copy.ts", tarfile.SYMTYPE, "./index.ts"),
    special("twin.ts", tarfile.LNKTYPE, "index.ts"),
    special("lib/up.ts", tarfile.SYMTYPE, "../copy.ts"),
    special("public", tarfile.SYMTYPE, "lib"),
    special("far.ts", tarfile.SYMTYPE, "n" * 120),
    special("secret", tarfile.SYMTYPE, ".env"),
    special("bin", tarfile.SYMTYPE, "node_modules/.bin/x"),
    special("old.db", tarfile.SYMTYPE, "data.db"),
]
DATABASE = b"SQLite format 3\0" + bytes(84)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_link_becomes_a_copy_of_what_is_shipped(form: int) -> None:
    files = [("index.ts", HELLO), ("lib/a.ts", b"a"), ("n" * 120, b"n"), (".env", b"S=1"), ("data.db", DATABASE)]
    found = unpack(io.BytesIO(tar(*LINKS, *files, form=form)))
    assert found.files == {
        "index.ts": HELLO, "copy.ts": HELLO, "twin.ts": HELLO, "lib/a.ts": b"a", "lib/up.ts": HELLO,
        "public/a.ts": b"a", "public/up.ts": HELLO, "n" * 120: b"n", "far.ts": b"n",
    }  # fmt: skip
    assert found.left_out.keys() == {".env", "data.db", "secret", "bin", "old.db"}


@pytest.mark.parametrize("said", ["/etc/passwd", "../x", "gone.ts", "x"])
def test_a_link_out_of_the_archive_or_to_nothing_is_refused_by_name(said: str) -> None:
    link = zip_mode("x", stat.S_IFLNK | 0o777)
    for packed in (tar(("index.ts", HELLO), special("x", tarfile.SYMTYPE, said)),
                   zipped(("index.ts", HELLO), (link, said.encode()))):  # fmt: skip
        error = refused(packed)
        assert (error.code, error.details) == ("invalid_path", {"path": "x"})


def test_a_link_brings_nothing_twice_and_no_more_than_a_file() -> None:
    twice = tar(("index.ts", HELLO), ("a/x.ts", b""), special("b", tarfile.SYMTYPE, "a"), ("b/x.ts", b""))
    assert refused(twice).code == "invalid_archive"
    many = [special(f"l{number}", tarfile.SYMTYPE, "index.ts") for number in range(FILES_MAX + 1)]
    for count in (FILES_MAX, FILES_MAX + 1):
        assert refused(tar(("index.ts", HELLO), *many[:count])).code == "too_large"
    large = tar(("index.ts", bytes(9 << 20)), *many[:15])
    assert refused(large).code == "too_large"
    linked = zipped(("index.ts", HELLO), (zip_mode("x", stat.S_IFLNK | 0o777), b"index.ts"))
    assert unpack(io.BytesIO(linked)).files == {"index.ts": HELLO, "x": HELLO}


@pytest.mark.parametrize("mode", [stat.S_IFIFO | 0o644, stat.S_IFCHR | 0o644, stat.S_IFSOCK])
def test_a_zips_devices_are_refused(mode: int) -> None:
    assert refused(zipped(("index.ts", HELLO), (zip_mode("x", mode), b"index.ts"))).code == "invalid_archive"


def test_modes_are_ignored() -> None:
    assert unpack(io.BytesIO(zipped((zip_mode("index.ts", stat.S_IFREG | 0o6777), HELLO)))).files == {"index.ts": HELLO}


def test_other_compressions_and_encryption_are_refused() -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert refused(zipped(("index.ts", HELLO), method=method)).code == "invalid_archive"
    locked = bytearray(zipped(("index.ts", HELLO)))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refused(bytes(locked)).message


def test_nul_in_a_zips_name_is_refused() -> None:
    packed = zipped(("index.tsX", HELLO)).replace(b"index.tsX", b"index.ts\0")
    assert refused(packed).code == "invalid_path"


def test_left_out_without_being_judged() -> None:
    """node_modules is full of links; what is left out is never looked at."""
    packed = tar(
        ("index.ts", HELLO),
        special("node_modules/.bin/tsc", tarfile.SYMTYPE, "../typescript/bin/tsc"),
        ("node_modules/a/index.js", b"x"),
        (".git/HEAD", b"ref"),
        (".env", b"SECRET=1"),
        (".env.local", b"SECRET=1"),
        ("lib/.DS_Store", b""),
        ("data.db", b"SQLite format 3\0" + bytes(100)),
        ("data.db-wal", b"wal"),
        ("empty.sqlite", b""),
        ("notes-wal", b"no database of that name"),
    )
    unpacked = unpack(io.BytesIO(packed))
    assert unpacked.files.keys() == {"index.ts", "notes-wal"}
    assert unpacked.left_out.keys() == {
        "node_modules/", ".git/", ".env", ".env.local", "lib/.DS_Store", "data.db", "data.db-wal",
        "empty.sqlite",
    }  # fmt: skip


def test_databases_are_seeds_when_that_is_asked_for() -> None:
    """Though .gitignore names them, as it commonly does; their side files never."""
    base = b"SQLite format 3\0" + bytes(100)
    packed = tar(
        ("app/index.ts", HELLO),
        ("app/.gitignore", b"*.db\n"),
        ("app/.steadyignore", b"large.sqlite\n"),
        ("app/data.db", base),
        ("app/data.db-wal", b"wal"),
        ("app/large.sqlite", base),
        ("app/no-database.db", b"x"),
    )
    unpacked = unpack(io.BytesIO(packed), with_data=True)
    assert unpacked.files.keys() == {"index.ts", ".gitignore", ".steadyignore", "data.db"}
    assert unpacked.left_out.keys() == {"data.db-wal", "large.sqlite", "no-database.db"}


def test_ignore_files_are_read_as_git_reads_them() -> None:
    packed = tar(
        ("app/index.ts", HELLO),
        ("app/.gitignore", b"dist/\n*.log\n"),
        ("app/.steadyignore", b"!keep.log\n"),
        ("app/dist/a.js", b""),
        ("app/x.log", b""),
        ("app/keep.log", b""),
        ("app/lib/.gitignore", b"!dist/\n/b.ts\n"),
        ("app/lib/b.ts", b""),
        ("app/b.ts", b""),
    )
    unpacked = unpack(io.BytesIO(packed))
    assert unpacked.files.keys() == {
        "index.ts", ".gitignore", ".steadyignore", "keep.log", "lib/.gitignore", "b.ts",
    }  # fmt: skip
    assert unpacked.left_out["dist/a.js"] == "named in .gitignore"
    assert unpacked.left_out["lib/b.ts"] == "named in lib/.gitignore"


def test_the_list_of_what_is_left_out_is_bounded() -> None:
    packed = tar(("index.ts", HELLO), *((f"{n}/.env", b"") for n in range(LEFT_OUT_MAX + 50)))
    unpacked = unpack(io.BytesIO(packed))
    assert len(unpacked.left_out) == LEFT_OUT_MAX
    assert unpacked.unlisted
    assert not unpack(io.BytesIO(tar(("app/index.ts", HELLO), ("app/.env", b"")))).unlisted


def tar_bomb() -> bytes:
    """A gigabyte of zeros as one file that says how large it is, and left-out ones that go on for ever."""
    header = tarfile.TarInfo("node_modules/zeros")
    header.size = 8 << 30
    deflate = zlib.compressobj(9, wbits=31)
    packed = deflate.compress(header.tobuf()) + b"".join(deflate.compress(bytes(1 << 20)) for _ in range(400))
    return packed + deflate.flush()


def zip_bomb() -> bytes:
    return zipped(*((f"f{n}.ts", bytes(9 << 20)) for n in range(12)))


def lying_zip() -> bytes:
    """A zip whose entry says that it is small."""
    packed = zipped(("index.ts", bytes(20 << 20)))
    return packed.replace(struct.pack("<L", 20 << 20), struct.pack("<L", 10))


@pytest.mark.parametrize("bomb", [tar_bomb, zip_bomb, lambda: gzip.compress(tar(("a.ts", bytes(11 << 20))))])
def test_a_bomb_is_refused_fast_in_bounded_memory(bomb: Callable[[], bytes]) -> None:
    packed = bomb()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    error = refused(packed)
    assert error.status == 413
    assert time.perf_counter() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KiB


def test_a_zip_that_lies_about_sizes_is_refused() -> None:
    assert refused(lying_zip()).status in (413, 422)


def test_a_zip_with_a_huge_directory_is_refused_before_it_is_read() -> None:
    packed = zipped(("index.ts", HELLO)) + bytes(DIRECTORY_BYTES_MAX)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, DIRECTORY_BYTES_MAX + 1, 10, 0)
    assert refused(packed + end).code == "too_large"


def test_too_many_entries_are_refused() -> None:
    entry = special("node_modules/", tarfile.DIRTYPE).tobuf()
    assert refused(tar(("index.ts", HELLO))[:1024] + entry * (ENTRIES_MAX + 1)).code == "too_large"


@pytest.mark.parametrize("pack", PACKERS)
def test_limits_that_are_off_leave_those_of_every_archive(
    pack: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [(f"f{number}", b"") for number in range(FILES_MAX)]
    packed = pack(("index.ts", HELLO), ("large", bytes(FILE_BYTES_MAX + 1)), *many)
    assert len(unpack(io.BytesIO(packed), limits=NO_LIMITS).files) == FILES_MAX + 2
    monkeypatch.setattr(archive, "UNPACKED_BYTES_MAX", FILE_BYTES_MAX)
    with pytest.raises(SteadyError, match="unpacks to more than 10 MiB") as caught:
        unpack(io.BytesIO(packed), limits=NO_LIMITS)
    assert caught.value.code == "too_large"


def test_links_are_no_way_around_the_limits_of_every_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    links = [special(f"l{number}", tarfile.SYMTYPE, "d") for number in range(3)]
    packed = tar(("index.ts", HELLO), *((f"d/{number}", bytes(100)) for number in range(10)), *links)
    assert len(unpack(io.BytesIO(packed), limits=NO_LIMITS).files) == 41
    monkeypatch.setattr(archive, "ENTRIES_MAX", 30)
    with pytest.raises(SteadyError, match="more than 30 entries"):
        unpack(io.BytesIO(packed), limits=NO_LIMITS)
    monkeypatch.setattr(archive, "ENTRIES_MAX", 50)
    monkeypatch.setattr(archive, "UNPACKED_BYTES_MAX", 2_500)
    with pytest.raises(SteadyError, match="unpacks to more than"):
        unpack(io.BytesIO(tar(("index.ts", HELLO), ("d", bytes(900)), *links)), limits=NO_LIMITS)


def test_an_archive_is_known_by_its_first_bytes() -> None:
    assert is_archive(zipped(("a", b""))[:4])
    assert is_archive(gzip.compress(b"")[:4])
    assert not is_archive(b"export")
    assert not is_archive(b"")


NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=20)


@given(st.dictionaries(NAMES, st.binary(max_size=600), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_every_packer_agrees(files: dict[str, bytes]) -> None:
    """What tar, tar.gz and zip bring out is the same, refusals included."""
    outcomes = []
    for pack in PACKERS:
        try:
            outcomes.append(unpack(io.BytesIO(pack(*files.items()))).files)
        except SteadyError as error:
            outcomes.append({error.code: b""})
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(st.binary(max_size=2_000), st.sampled_from([0, 1, 2]), st.integers(0, 700))
@settings(max_examples=300, deadline=None)
def test_damage_is_refused_in_our_words(noise: bytes, packer: int, position: int) -> None:
    """Whatever is written over an archive: it is still a tree, or a SteadyError."""
    packed = bytearray(PACKERS[packer](("index.ts", HELLO), ("lib/a.ts", b"x" * 300)))
    packed[position : position + len(noise)] = noise
    with contextlib.suppress(SteadyError):
        unpack(io.BytesIO(bytes(packed)))
