from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.manifest import MANIFEST_BYTES_MAX, Kept, Manifest, address, read
from steadyd.errors import SteadyError

NAMES = st.binary(min_size=1, max_size=12).map(
    lambda name: os.fsdecode(name.replace(b"/", b"_").replace(b"\0", b"_").replace(b".", b"-"))
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
FILES = st.dictionaries(
    PATHS,
    st.builds(
        Kept,
        st.binary(max_size=4).map(lambda content: address(b"x" + content)),
        st.integers(0, 1 << 40),
        st.integers(0, 0o777),
    ),
    max_size=8,
)
FOLDERS = st.dictionaries(PATHS.map(lambda path: f"{path}/"), st.integers(0, 0o777), max_size=4)


@given(FILES, FOLDERS)
def test_it_is_read_as_it_was_written_whatever_the_files_are_called(
    files: dict[str, Kept], folders: dict[str, int]
) -> None:
    made = Manifest(files, folders)
    assert read(made.written()) == made
    assert made.written() == Manifest(dict(reversed(files.items())), folders).written()
    made.written().decode("ascii")


def test_nothing_is_the_empty_content() -> None:
    assert (Manifest().written(), address(b""), read(b"")) == (b"", "", Manifest())


def test_it_knows_its_size_and_its_contents() -> None:
    made = Manifest({"a": Kept("a" * 64, 5, 0o644), "b": Kept("a" * 64, 5, 0o600), "c": Kept("c" * 64, 1, 0o600)})
    assert (made.size, made.contents) == (11, {"a" * 64: 5, "c" * 64: 1})


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a//b", "a/./b", "a/../../b", "", ".", "..", "a\0b", "/", "a/..", "//"]
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    for key in (path, f"{path}/"):
        with pytest.raises(SteadyError, match="cannot be used") as caught:
            read(json.dumps({key: ["a" * 64, 1, 0o644]}).encode())
        assert caught.value.code == "backup_broken"


@pytest.mark.parametrize(
    "said", [
        b"[]", b"7", b"{", b"\xff", b'{"a": 1}', b'{"a": ["x", 1, 1]}', b'{"a": ["", 1, 1]}', b'{"a": [1, 1, 1]}',
        b'{"a": ["' + b"a" * 64 + b'", "1", 1]}', b'{"a": ["' + b"a" * 64 + b'", -1, 1]}',
        b'{"a": ["' + b"a" * 64 + b'", true, 1]}', b"[" * 100_000, b" " * (MANIFEST_BYTES_MAX + 1),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(said: bytes) -> None:
    with pytest.raises(SteadyError) as caught:
        read(said)
    assert caught.value.code == "backup_broken"


def test_no_mode_gives_more_than_permissions() -> None:
    found = read(json.dumps({"a": ["a" * 64, 1, 0o104755], "f/": ["", 0, 0o42777]}).encode())
    assert (found.files["a"].mode, found.folders["f/"]) == (0o755, 0o777)
